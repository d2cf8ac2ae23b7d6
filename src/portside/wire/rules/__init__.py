"""The rules language: what a client that sends something gets back, written in a file; docs/rules.md is its reference.

    rules_file      a TOML file parsed and checked; each mistake reported with line and column
    toml_positions  where the keys and values of a TOML document stand
    inline_rules    the rules of ``--reply`` options
    patterns        what a message is compared with, as a regular expression of RE2
    template        what is sent, with variables, checksums and lengths
    ruleset         the values: rules, answers, a set of rules
    matching        which rule of a state a message matches: one dictionary and one RE2 set for all of them
    message_reader  a client's byte stream cut into the messages that rules see
    session         the state of one client's conversation, and the action that each message leads to
    lint            rules and states that can never be reached
    transcript      an expected conversation, compared with what the rules answer

Everything here is pure: time, randomness and bytes come in as arguments.
"""
