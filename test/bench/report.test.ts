import { expect, test } from 'vitest'
import { renderChart } from '../../bench/chart.ts'
import { ratiosOf } from '../../bench/results.ts'
import { renderMarkdown } from '../../bench/table.ts'
import { results, took } from './results.ts'

test('rates are in what the group is about: mapped bytes, or bytes in files', () => {
  const [write, , , , tree] = results.entries
  expect(write?.rate).toEqual({ median: 2000, min: 2000, max: 2500 })
  expect(tree?.rate.median).toBe(500)
})

test('the table', () => {
  expect(renderMarkdown(results)).toMatchInlineSnapshot(`
    "# Bench of 2027-01-31

    Example(R) 9000, 4 cores, 16 GiB of memory, Linux 6.12; 3 rounds,
    zstd level 3, load before the run 0.3.

    Input: an ext4 image of 2 GiB with 1000 MB of data;
    a tree of 3 files with 500 MB,
    one of 2 small files with 0 MB;
    for the codecs files of 100 MB.

    ## 4 cores, for osflash and for peers

    | what | MB/s | min–max | cores busy | peak MiB | packed MiB | equal |
    |---|--:|--:|--:|--:|--:|---|
    | disk image: write \\| x | 2000 | 2000–2500 | 2.0 | 100 |  | – |
    | disk image: decode \\| x | 1000 | 800–1000 | 2.0 | 100 |  | – |
    | disk image: osflash-file \\| x | 500 | 250–625 | 2.0 | 100 |  | yes |
    | disk image: gpg-direct \\| x | 100 | 50–125 | 2.0 | 100 |  | – |
    | file tree: osflash-tree \\| x | 500 | 500–500 | 2.0 | 100 |  | – |

    | ratio of medians | is | wanted | reached |
    |---|--:|--:|---|
    | unpack / lower ceiling (decode) | 0.50 | 0.9 | no |
    | unpack / gpg, zstd, dd direct | 5.00 | 8 | no |

    - left out: gosop (no gosop)
    - gpg: gpg 2.4

    Each command in a folder with the inputs; \`out.*\` does not exist before, or is allocated:

    \`\`\`sh
    # write
    true
    # decode
    true
    # osflash-file
    true
    # gpg-direct
    true
    # osflash-tree
    true
    \`\`\`
    "
  `)
})

test('the chart', () => {
  const chart = renderChart({ ...results, entries: results.entries.slice(0, 2) })
  expect(chart).toMatchInlineSnapshot(`
    "<svg xmlns="http://www.w3.org/2000/svg" width="900" height="134"
    viewBox="0 0 900 134" font-family="sans-serif" font-size="12">
    <rect width="900" height="134" fill="#ffffff"/>
    <text x="12" y="26" font-weight="bold">
    Example(R) 9000, 4 cores, 16 GiB of memory, Linux 6.12</text>
    <text x="12" y="48" font-weight="bold">
    MB/s, median and spread of 3 rounds, 2027-01-31</text>
    <text x="12" y="70" font-weight="bold">
    disk image, 4 cores</text>
    <text x="344" y="92" text-anchor="end">write | x</text>
    <rect x="352" y="81" width="372.8" height="14" fill="#8b949e"/>
    <line x1="724.8" x2="818.0" y1="88" y2="88" stroke="#24292f" stroke-width="2"/>
    <text x="824.0" y="92">2000</text>
    <text x="344" y="114" text-anchor="end">decode | x</text>
    <rect x="352" y="103" width="186.4" height="14" fill="#8b949e"/>
    <line x1="501.1" x2="538.4" y1="110" y2="110" stroke="#24292f" stroke-width="2"/>
    <text x="544.4" y="114">1000</text>
    </svg>
    "
  `)
})

test('the chart escapes what XML would read', () => {
  const entry = { ...took({ name: 'a', group: 'disk', kind: 'peer' }, 1), title: 'a <b> & c' }
  expect(renderChart({ ...results, entries: [entry] })).toContain('a &lt;b&gt; &amp; c')
})

test('a ratio just below its target is not shown as reached, nor rounded up to it', () => {
  const entries = [
    took({ name: 'decode', group: 'disk', kind: 'ceiling' }, 1.1112),
    took({ name: 'zstd-t', group: 'disk', kind: 'ceiling' }, 1),
  ]
  expect(ratiosOf(entries)).toEqual([expect.objectContaining({ target: 0.9, reached: false })])
  expect(renderMarkdown({ ...results, entries })).toContain(
    '| decode / zstd -t | 0.89 | 0.9 | no |',
  )
})

test('a larger image than zstd makes is allowed up to 2 %', () => {
  const sized = (ours: number) => [
    { ...took({ name: 'osflash-pack', group: 'pack', kind: 'osflash' }, 1), outputBytes: ours },
    { ...took({ name: 'zstd-pack', group: 'pack', kind: 'peer' }, 1), outputBytes: 1000 },
  ]
  const sizeRatio = (ours: number) => ratiosOf(sized(ours)).at(-1)
  expect(sizeRatio(1020)).toMatchObject({ what: 'packed size / zstd', reached: true })
  expect(sizeRatio(1021)).toMatchObject({ what: 'packed size / zstd', reached: false })
})

test('the lower ceiling is the one that counts, and is named', () => {
  expect(ratiosOf(results.entries).map(({ what }) => what)).toEqual([
    'unpack / lower ceiling (decode)',
    'unpack / gpg, zstd, dd direct',
  ])
})

test('each number of processors has tables and ratios of its own', () => {
  const on2 = results.entries.map((entry) => ({ ...entry, cores: 2 }))
  const both = { ...results, cores: [2, 4], entries: [...on2, ...results.entries] }
  const page = renderMarkdown(both)
  expect(page.match(/^## .*$/gm)).toEqual([
    '## 2 cores, for osflash and for peers',
    '## 4 cores, for osflash and for peers',
  ])
  expect(page.match(/unpack \/ gpg/g)).toHaveLength(2)
  expect(page.match(/^# write$/gm)).toHaveLength(1)
  expect(renderChart(both).match(/file tree, [24] cores/g)).toHaveLength(2)
})

test('a doubling of the workers is half of the gain, beside what the machine itself gives', () => {
  const scaled = [
    took({ name: 'decode-1', group: 'scaling', kind: 'osflash' }, 8),
    took({ name: 'zstd-t-1', group: 'scaling', kind: 'ceiling' }, 4),
    took({ name: 'decode-2', group: 'scaling', kind: 'osflash' }, 4),
    took({ name: 'zstd-t-2', group: 'scaling', kind: 'ceiling' }, 2.5),
  ]
  expect(ratiosOf(scaled)).toEqual([
    {
      what: 'decode, 1 to 2 workers, half of the gain (zstd -t: 0.80)',
      value: 1,
      target: 0.9,
      reached: true,
    },
  ])
})

test('the largest peak of all unpacks with four workers is bounded', () => {
  const unpack = { ...took({ name: 'u', group: 'memory', kind: 'osflash' }, 1), workers: 4 }
  const withPeak = (mib: number) =>
    ratiosOf([
      { ...unpack, command: '$OSFLASH unpack a', peakBytes: 2 ** 20 },
      { ...unpack, command: '$OSFLASH unpack b', peakBytes: mib * 2 ** 20 },
      { ...unpack, command: '$OSFLASH unpack c', workers: 8, peakBytes: 2 ** 30 },
    ])
  expect(withPeak(256)).toEqual([expect.objectContaining({ value: 256, reached: true })])
  expect(withPeak(256.1)).toEqual([expect.objectContaining({ value: 257, reached: false })])
})
