/**
 * Work on several items at once, results in the order of the items.
 *
 * 1. At most `ahead` pieces of work are under way, besides the one whose result is in use.
 * 2. Nothing starts before somebody asks for a result, so the consumer's pace bounds everything.
 * 3. Item n may use slot n mod (ahead + 1): whoever used it before is through with it.
 */

export interface InOrder<Item, Result> {
  readonly items: AsyncIterable<Item>
  /** At least 1. */
  readonly ahead: number
  readonly work: (item: Item, slot: number) => Promise<Result>
}

/** The results, one for each item; fails with the first failure in the order of the items. */
export async function* inOrder<Item, Result>(
  options: InOrder<Item, Result>,
): AsyncGenerator<Result, void> {
  const { items, ahead, work } = options
  const flying: Promise<Result>[] = []
  let count = 0
  for await (const item of items) {
    const result = work(item, count % (ahead + 1))
    // Whoever stops asking leaves work behind whose failure nobody waits for.
    result.catch(() => undefined)
    flying.push(result)
    count += 1
    const first = flying.length > ahead ? flying.shift() : undefined
    if (first !== undefined) yield await first
  }
  for (const result of flying) yield await result
}
