"""Fuzzing: inputs made by mutation, given to the parsers of what comes from the network, from files and from users.

Each module here without a leading underscore is a harness, found by its name. A harness has two functions:

``make_input(chance)``   makes an input out of a ``random.Random`` alone, so that a seed stands for an input
``accepts(value)``       gives it to the code under test; True where the code took it, False where the code refused it
                         with the error that it documents. Anything else that is raised is unexpected

An attempt that takes longer than ``LIMIT_S`` of the harness (default: 5 s) is unexpected too. ``IN_TESTS`` is how many
attempts the tests make, where 200 take too long.

    make fuzz                              every harness for 60 s each; FUZZ_S=5 makes that 5 s
    python -m fuzz filter framing          these harnesses only
    python -m fuzz filter --seed 123       one input again, with the error that it meets
"""
