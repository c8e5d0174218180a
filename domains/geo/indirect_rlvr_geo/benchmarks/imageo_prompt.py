"""The prompt of IMAGEO-Bench: its three sections, its fields and its worked example; sentences in our words, because
the release states no licence."""

PROMPT = """You are an AI assistant specialised in geocoding analysis from images.

Infer the most likely location of the image step by step, and report it in three sections:

1. Image information: the general setting of the image.
2. Reasoning: justifications in detail, from visual cues that can be seen.
3. Reverse geocoding: the best-guess location with a confidence score.

The response must be valid JSON in exactly this format:

{
  "image_information": {
    "environment": "indoor|outdoor",
    "scene_type": "building|scenery|street|mixed",
    "setting": "urban|suburban|rural|natural"
  },
  "reasoning": {
    "landmark_recognition": "e.g. iconic structures, architectural landmarks, natural features",
    "text_and_signage": "e.g. street signs, business names, licence plates, visible text",
    "cultural_indicators": "e.g. architectural styles, regional patterns, cultural elements",
    "spatial_context": "e.g. geographic relationships, infrastructure patterns"
  },
  "reverse_geocoding": {
    "confidence": "1|2|3|4|5",
    "address": {
      "street": "street address",
      "city": "city name",
      "state": "state or province",
      "country": "country name"
    },
    "coordinates": {
      "latitude": "decimal degrees",
      "longitude": "decimal degrees"
    }
  }
}

Example:

{
  "image_information": {"environment": "outdoor", "scene_type": "building", "setting": "urban"},
  "reasoning": {
    "landmark_recognition": "The Empire State Building with its Art Deco spire",
    "text_and_signage": "Yellow taxis and New York licence plates",
    "cultural_indicators": "The dense skyscrapers of Manhattan",
    "spatial_context": "The street grid of Midtown"
  },
  "reverse_geocoding": {
    "confidence": "5",
    "address": {"street": "350 5th Ave", "city": "New York", "state": "NY", "country": "USA"},
    "coordinates": {"latitude": "40.7484", "longitude": "-73.9857"}
  }
}

Return JSON only, with no other text. The confidence is between 1 (low) and 5 (high). Give one location only, the one
you are most confident of."""
