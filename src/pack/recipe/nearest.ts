/**
 * The known word that is nearest to a mistyped one.
 *
 * 1. Distance: insertions, deletions, substitutions and swaps of neighbours, each 1
 *    (optimal string alignment).
 * 2. Nearest means at most a third of the word's length, and at least 2, away.
 */

/** The nearest of `known` within reach of `word`; the first one when several are as near. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  const reach = Math.max(2, Math.floor(word.length / 3))
  let best: { readonly word: string; readonly distance: number } | undefined
  for (const candidate of known) {
    const distance = editDistance(word, candidate)
    if (distance <= reach && distance < (best?.distance ?? Number.POSITIVE_INFINITY)) {
      best = { word: candidate, distance }
    }
  }
  return best?.word
}

/** Edits between two words; 0 when they are equal. */
export function editDistance(from: string, to: string): number {
  let older: readonly number[] = []
  let above: readonly number[] = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1]
      const swapped =
        row > 1 &&
        column > 1 &&
        from[row - 1] === to[column - 2] &&
        from[row - 2] === to[column - 1]
      current.push(
        Math.min(
          at(above, column) + 1,
          at(current, column - 1) + 1,
          at(above, column - 1) + (same ? 0 : 1),
          swapped ? at(older, column - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
    older = above
    above = current
  }
  return at(above, to.length)
}

const at = (row: readonly number[], column: number): number =>
  row[column] ?? Number.POSITIVE_INFINITY
