"""The nouns: frozen, one file per word of the glossary, no behaviour beyond their own consistency."""
