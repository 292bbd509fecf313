def before(example):

    if "redrive p00" in example.source:
        import s3queue

        (letter,) = s3queue.Queue("mail").dead_letters()
        typed["an id"] = letter.id
