"""For every alert a case in which it fires, and one that comes near and in which it does not."""

import cases_of_parts
import cases_of_people

CASES = cases_of_parts.CASES + cases_of_people.CASES
