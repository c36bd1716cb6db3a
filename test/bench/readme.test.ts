import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { renderBlock, renderProfile, replaceBlock } from '../../bench/readme-block.ts'
import { results } from './results.ts'

const root = join(import.meta.dirname, '../..')

test('README.md shows what its results say', async () => {
  const page = await readFile(join(root, 'README.md'), 'utf8')
  const name = /bench\/results\/(\S+)\.svg/.exec(page)?.[1] ?? 'none is named'
  const text = await readFile(join(root, 'bench', 'results', `${name}.json`), 'utf8')
  expect(replaceBlock(page, renderBlock(JSON.parse(text), name))).toBe(page)
})

test('docs/performance.md shows what its profile says', async () => {
  const page = await readFile(join(root, 'docs', 'performance.md'), 'utf8')
  const name = /bench\/results\/(\S+-profile)\.md/.exec(page)?.[1] ?? 'none is named'
  const text = await readFile(join(root, 'bench', 'results', `${name}.md`), 'utf8')
  expect(replaceBlock(page, renderProfile(text, name))).toBe(page)
})

test('a profile is shown one level deeper, without its title', () => {
  expect(renderProfile('# Profile\n\nx\n\n## Time\n\ny\n', 'p')).toBe(
    [
      '<!-- bench: begin; made by npm run bench:readme -->',
      'From [p.md](../bench/results/p.md).\n\nx\n\n### Time\n\ny',
      '<!-- bench: end -->',
    ].join('\n'),
  )
})

test('a row for each entry and for each target, a column for each number of cores', () => {
  const on2 = results.entries.map((entry) => ({ ...entry, cores: 2 }))
  const both = { ...results, cores: [2, 4], entries: [...on2.slice(0, 3), ...results.entries] }
  expect(renderBlock(both, 'a-run')).toMatchInlineSnapshot(`
    "<!-- bench: begin; made by npm run bench:readme -->
    Example(R) 9000, 4 cores, 16 GiB of memory, Linux 6.12;
    2027-01-31, medians of 3 rounds, MB of data a second.
    The disk image has 1000 MB of data.
    Versions, commands and spread: [a-run.md](bench/results/a-run.md).

    |  | 2 cores | 4 cores |
    | --- | --: | --: |
    | disk image: write \\| x | 2000 | 2000 |
    | disk image: decode \\| x | 1000 | 1000 |
    | disk image: osflash-file \\| x | 500 | 500 |
    | disk image: gpg-direct \\| x |  | 100 |
    | file tree: osflash-tree \\| x |  | 500 |

    | target | wanted | 2 cores | 4 cores |
    | --- | --: | --: | --: |
    | unpack / lower ceiling | 0.9 | 0.50 | 0.50 |
    | unpack / gpg, zstd, dd direct | 8 |  | 5.00 |

    ![chart](bench/results/a-run.svg)
    <!-- bench: end -->"
  `)
})

test('figures of a busy machine are called that', () => {
  expect(renderBlock({ ...results, loadBefore: 5.9 }, 'a')).toContain('(load 5.9)')
  expect(renderBlock({ ...results, loadBefore: 1 }, 'a')).not.toContain('Other programs')
})

test('the rest of the page stays, and a page without marks is refused', () => {
  const block = renderBlock(results, 'a')
  const other = renderBlock({ ...results, rounds: 9 }, 'a')
  expect(replaceBlock(`before\n${block}\nafter\n`, other)).toBe(`before\n${other}\nafter\n`)
  expect(() => replaceBlock('before\nafter\n', other)).toThrow('no marks')
})
