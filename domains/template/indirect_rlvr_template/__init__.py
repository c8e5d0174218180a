"""The smallest complete domain pack: which monitor print-out belongs to the nurse's note?"""
