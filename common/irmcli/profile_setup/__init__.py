"""`irmexport profile new`: from a sample file to a profile, in steps.

sample → guesses → (prompts) → profile_text, which draft checks by shaping the sample with the new profile.
"""
