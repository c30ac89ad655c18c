"""Places for the nodes of a small directed graph, in columns from left to right, with room for lines that pass a column.

Layered drawing after Sugiyama: columns by the longest way from a source; lines that cross columns get a place of their own in
each; an order within columns with few crossings, by the mean place of neighbours; heights nearest to the neighbours'.
"""

_APART, _LANE = 26, 14  # between nodes; height of a passing line
_SWEEPS = 12


def layout(heights, edges, width, gap):
    """`heights`: node to its height, in an order that needs no line backwards; `edges`: [(from, to, port)], where a lower port of
    a node is higher up. Returns ({node: (x, y) of its upper left corner}, [points of each edge: left and right end in each column it crosses], columns,
    lowest y)."""
    depth = {}
    for node in heights:
        depth[node] = 1 + max((depth[a] for a, b, _ in edges if b == node), default=-1)
    heights, chains = dict(heights), []
    columns = [[n for n in heights if depth[n] == d] for d in range(max(depth.values()) + 1)]
    for i, (a, b, _) in enumerate(edges):
        lanes = [(i, d) for d in range(depth[a] + 1, depth[b])]
        for lane in lanes:
            columns[lane[1]].append(lane)
            heights[lane] = _LANE
        chains.append([a, *lanes, b])
    before, after, ports = {n: [] for n in heights}, {n: [] for n in heights}, {}
    for chain, (_, _, port) in zip(chains, edges):
        ports[chain[-2], chain[-1]] = port
        for a, b in zip(chain, chain[1:]):
            after[a].append(b)
            before[b].append(a)
    _order(columns, before, after, ports)
    middles = _heights(columns, heights, before, after)
    top = min(middles[n] - heights[n] / 2 for n in heights)
    middles = {n: m - top for n, m in middles.items()}
    left = [d * (width + gap) for d in range(len(columns))]
    places = {n: (left[depth[n]], round(middles[n] - heights[n] / 2)) for n in depth}
    lines = [[(left[lane[1]] + side, round(middles[lane])) for lane in chain[1:-1] for side in (0, width)] for chain in chains]
    return places, lines, len(columns), round(max(middles[n] + heights[n] / 2 for n in heights))


def _order(columns, before, after, ports):
    """Sorts the columns to and fro by the mean place of the neighbours; keeps the order with the fewest crossings."""
    best = [list(c) for c in columns]
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        neighbours = before if forth else after
        for column in columns[1:] if forth else columns[-2::-1]:
            place = {n: i for c in columns for i, n in enumerate(c)}
            own = {n: i for i, n in enumerate(column)}
            column.sort(key=lambda n: (sum(place[m] for m in neighbours[n]) / len(neighbours[n]) if neighbours[n] else own[n],
                                       min((ports.get((n, m), 0) for m in after[n]), default=0)))
        if _crossings(columns, after, ports) < _crossings(best, after, ports):
            best = [list(c) for c in columns]
    columns[:] = best


def _crossings(columns, after, ports):
    total = 0
    for column, following in zip(columns, columns[1:]):
        place = {n: i for i, n in enumerate(following)}
        ends = [end for n in column for end in sorted((place[m], ports.get((n, m), 0)) for m in after[n])]
        total += sum(a > b for i, a in enumerate(ends) for b in ends[i + 1:])
    return total


def _heights(columns, heights, before, after):
    """{node: middle}: each as near to its neighbours' mean as those beside it allow."""
    middles = {}
    for column in columns:
        _spread(column, {n: 0.0 for n in column}, heights, middles)
    for sweep in range(2 * _SWEEPS):
        neighbours = before if sweep % 2 == 0 else after
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wish = {n: sum(middles[m] for m in neighbours[n]) / len(neighbours[n]) if neighbours[n] else middles[n] for n in column}
            _spread(column, wish, heights, middles)
    return middles


def _spread(column, wish, heights, middles):
    """The places nearest to `wish` (least squares) in this order and without overlap: blocks that touch move together."""
    offset, offsets = 0.0, []
    for i, n in enumerate(column):
        if i:
            offset += (heights[column[i - 1]] + heights[n]) / 2 + _APART
        offsets.append(offset)
    blocks = []  # [sum of wished starts, members]
    for n, o in zip(column, offsets):
        blocks.append([wish[n] - o, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, many = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += many
    starts = [total / many for total, many in blocks for _ in range(many)]
    for n, o, start in zip(column, offsets, starts):
        middles[n] = start + o
