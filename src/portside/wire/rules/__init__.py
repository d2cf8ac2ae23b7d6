"""The rules language: what a client that sends something gets back, said in a file. docs/rules.md tells it whole.

    places       where a key or a value of a TOML document stands
    read, reply  a file, or an option, to rules; what is wrong with them, and where
    patterns     what a message is compared with, as a regular expression of RE2
    template     what is sent, with variables, checksums and lengths
    language     the values: rules, answers, a book of rules
    matching     which rule of a state a message meets: one dictionary and one RE2 set for all of them
    dialogue     where one conversation stands
    review       what of a book can never happen
    transcript   a conversation as it should be, compared with what the rules say

All of it is pure: time, randomness and bytes come in as arguments.
"""
