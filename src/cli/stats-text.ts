/**
 * Where the time of a run went: `unpack --stats`.
 *
 * 1. `table` sets rows in columns; the first column is text, the second numbers.
 */

/** Lines of columns: the first and the last are set left, the others right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row
      .map((cell, i) => {
        const width = widths[i] ?? 0
        return i === 0 || i === row.length - 1 ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
      .trimEnd(),
  )
}
