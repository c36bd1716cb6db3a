import { expect, test } from 'vitest'
import { protoFile } from '../../../src/pack/build/xfs-proto.ts'

/** As `find -printf` with the module's format gives it. */
const found = (...rows: readonly string[]) => rows.map((row) => `${row}\0`).join('')
const ROOT = 'd\t755\t0\t0\t\t'

test('a tree becomes nested folders, sorted, each ended by a dollar sign', () => {
  const { text, sticky } = protoFile(
    found(
      ROOT,
      'd\t1777\t0\t0\ttmp\t',
      'd\t2755\t0\t8\tb\t',
      'f\t4750\t5\t6\tb/z\t',
      'l\t777\t0\t0\tb/link\t../a',
      'p\t600\t0\t0\tb/fifo\t',
      'f\t644\t0\t0\ta\t',
    ),
  )
  expect(text).toBe(`osflash
0 0
d--755 0 0
a ---644 0 0 a
b d-g755 0 8
fifo p--600 0 0
link l--777 0 0 ../a
z -u-750 5 6 b/z
$
tmp d--777 0 0
$
$
`)
  expect(sticky).toEqual([{ path: 'tmp', mode: 0o1777 }])
})

test('an empty tree is its root alone', () => {
  expect(protoFile(found(ROOT)).text).toBe('osflash\n0 0\nd--755 0 0\n$\n')
})

test.each([
  ['f\t644\t0\t0\ta b\t', '/a b: a name that mkfs.xfs cannot take'],
  ['f\t644\t0\t0\td/:a\t', '/d/:a: a name that mkfs.xfs cannot take'],
  ['d\t755\t0\t0\t$\t', '/$: a name that mkfs.xfs cannot take'],
  ['l\t777\t0\t0\tl\ta b', '/l: a name that mkfs.xfs cannot take'],
  ['c\t600\t0\t0\tnull\t', '/null: neither file, folder, link nor fifo'],
  ['s\t600\t0\t0\tsocket\t', '/socket: neither file, folder, link nor fifo'],
])('%j is refused', (row, why) => {
  expect(() => protoFile(found(ROOT, row))).toThrow(`filling an xfs file system: ${why}`)
})

test('names with a colon or a dollar sign inside are taken', () => {
  const { text } = protoFile(found(ROOT, 'f\t644\t0\t0\tlibc6:amd64.list\t', 'f\t644\t0\t0\t$a\t'))
  expect(text).toContain('libc6:amd64.list ---644 0 0 libc6:amd64.list\n')
  expect(text).toContain('$a ---644 0 0 $a\n')
})

test('a list without a root is a fault of the caller', () => {
  expect(() => protoFile(found('f\t644\t0\t0\ta\t'))).toThrow(RangeError)
})
