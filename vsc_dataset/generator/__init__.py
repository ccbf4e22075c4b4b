"""The fast path: from a key and indices to rows of bytes, whole blocks of samples at a time.

    spec       SampleSpec: what shapes a split's samples, their key, the radices of their digits
    hashing    word j of a sample, from key and index
    lookup     the tables drawn below, made once for each SampleSpec and layout
    draw       states to digits to codes and letters, again until a sample is of its split
    render     codes and letters to rows of ids
    trace      what each operation results in: dense targets, and scratchpads
    buffers    memory that is used again
    reference  all of it once more, slow and obvious; the tests hold both equal

**Words to digits.** A sample's randomness is a sequence of 64-bit words, functions of key and
index. Its *state* is word 0; attempt a reads the W words from word a W on (`words_per_attempt`). A
word has two halves, the high one first, and a half gives several digits: of a fraction f of 32
bits, the digit of radix r is f r >> 32, and the next fraction f r mod 2^32. Which half gives a
digit is fixed (`halves`). In the configuration `default`, W is 2:

     63      word 0       32 31                0   63      word 1       32 31                0
    +-----------------------+-------------------+ +-----------------------+-------------------+
    | length, nops, op 1, 2 |     op 3, 4, 5    | | letters 1, 2, 3, 4, 5 |                   |
    +-----------------------+-------------------+ +-----------------------+-------------------+

**Digits to codes.** A *situation* is n letters present and d on the stack. An operation's digit,
plus the base of the situation in which it is drawn, is its *code*; code 0 is "no operation". With
the weights w of the kinds that are possible, the codes of a situation are

    base      w(>) n(n-1) codes       w(-) n(n-1) codes       w(+) n(n-1) codes     the next base
    +---------------------------+-----------------------+-----------------------+----------------
    | 1>2, 1>3, ... and this    | -1, -2, ... each n-1  | +1, +2, ... likewise, |
    | again, w(>) times in all  | times, w(-) times all | of a stack not empty  |
    +---------------------------+-----------------------+-----------------------+----------------

where of one letter n(n-1) is to be read as 1.

**Codes to everything else.** Every table is indexed by codes; a word has several fields.

     63                           32 31                            0
    +-------------------------------+-------------------------------+  `step`, `start`: what is
    | radix of the next digit       | base of the next situation    |  next; of a program that has
    +-------------------------------+-------------------------------+  ended radix 1, base 0

     63         52 51         40 39                                0
    +-------------+-------------+-----------------------------------+  `mark`: what decides the
    | 1 operation | 1 position  | bytes of the canonical token, the |  split; the two high fields
    |             | 3 or higher | first one lowest: 1>2, -3         |  are summed; code 0 has 0
    +-------------+-------------+-----------------------------------+

     63         56 55                                              0
    +-------------+-------------------------------------------------+  `token`, `first_token`:
    | 8 times its | separator and operation, each id exclusive-or   |  what is written; of code 0
    | bytes       | padding, the first one lowest: " 3>1", ":5>4"   |  nothing, or ":" alone
    +-------------+-------------------------------------------------+

An id is a byte, padding a space; of the layout `tokens` an operation is one id of two bytes.

     63         44 43         32 31                                0
    +-------------+-------------+-----------------------------------+  `line`: what it does; the
    | 1 operation | 1 + change  | number of a permutation           |  two high fields are summed;
    |             | in letters  |                                   |  code 0 has 0, 1, identity
    +-------------+-------------+-----------------------------------+

The *line* is the letters present, then the stack, its top next to them. An operation permutes it:
"-x" moves letter x to the last place of those present, of which there is then one less; "+x" moves
the letter after them to place x. At the end its first places are the answer. Up to five letters,
permutations are composed, a lookup at (a << 7) + b for each step; else each place is traced back.

**The flow**, for N samples, K steps, H letters and rows of L bytes:

    states (N,)               `hashing`: word 0 of each sample
    length, nops (N,)         digits 1 and 2
    codes (K, N)              the word of `step` at the last code tells how to draw the next one
    letters (H, N)            distinct capitals, 0 after the last
    is it of the split?       from `mark` and letters; else it is drawn again, with its next words
    labels (N, L)             letters, `token`, separator, answer by `line`, eight bytes at a time
    targets (N, L), on request: letters by `targets`, the line followed step by step; a scratchpad
                              writes the line's letters after each step
    answer mask, input (N, L) looked up by the byte where the operations end
"""
