"""What a node collects with: one small file a kind of source, found by entry point (`icn.collectors`), so that others can be added.

    from streams.collectors.collector import Collected, Task

    class Dice:
        capability = "dice"

        def __init__(self, options):            # its part of the node's configuration: collectors: {dice: {sides: 20}}
            self.sides = options.get("sides", 6)

        def collect(self, task: Task) -> Collected:
            return Collected([{"content": str(random.randint(1, self.sides)), "source": task.location}])

In its package: `[project.entry-points."icn.collectors"]` with `dice = "my_dice:Dice"`.
"""
