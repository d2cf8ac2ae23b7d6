"""The rules language: a file says what a client that sends something gets back. docs/rules.md describes all of it.

    ruleset         the values: rules, answers, a rule set
    rules_file      a TOML file to a rule set, with the position of whatever is wrong with it
    inline_rules    the options --reply to a rule set
    toml_positions  where a key or a value of a TOML document stands
    patterns        conditions on a message as regular expressions of RE2
    template        what is sent, with variables, checksums and lengths
    matching        which rule of a state a message meets: one dictionary and one RE2 set for all of them
    message_reader  a client's stream as the messages that rules see
    session         the state of one conversation, and what happens next in it
    lint            states and rules that can never apply
    transcript      an expected conversation, compared with what the rules say

All of it is pure: time, randomness and bytes come in as arguments.
"""
