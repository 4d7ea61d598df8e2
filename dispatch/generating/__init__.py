"""Writing on: what `generate` is made of. Everything here is NumPy; the model's passes are the engine's.

    settings    what may be asked: HF's names, their ranges, and what only HF has
    tokens      settings that name tokens: ids of the vocabulary, in whatever form they come
    prompts     what is continued: ids or embeddings, masks, a cache; how much may be added
    steps       the model, asked again and again with one token more
    processors  rules that change the scores of the next token: penalties, bans, lengths
    sampling    rules that narrow a draw, and the draw; each row has a stream of its own
    calling     the caller's own functions: rules, criteria, a streamer
    loop        one continuation a row: greedy, or drawn
    beams       beam search: the best continuations of a row, of which K are pursued side by side
    records     what is returned if more than the ids is wanted

B rows of the prompt, R rows of a pass: B times beams or continuations; T tokens so far, V vocabulary, K beams.
"""
