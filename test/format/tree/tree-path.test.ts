import { describe, expect, test } from 'vitest'
import { showPath, TreeNames, treePath } from '../../../src/format/tree/tree-path.ts'

const part = (bytes: number) => 'p'.repeat(bytes)
const parts = (count: number) => Array.from({ length: count }, () => 'd').join('/')
/** 4,096 bytes in 17 parts. */
const longest = `${Array.from({ length: 16 }, () => part(239)).join('/')}/${part(256 - 1)}x`

describe('a path', () => {
  test.each([
    ['a/b', 'a/b'],
    ['./a/b', 'a/b'],
    ['a/b/', 'a/b'],
    ['.', ''],
    ['./', ''],
    ['...', '...'],
    ['..a/b..', '..a/b..'],
    [' ', ' '],
    ['l\u00e4nge\n', 'l\u00e4nge\n'],
    [
      './lib/systemd/system/system-systemd\\x2dcryptsetup.slice',
      'lib/systemd/system/system-systemd\\x2dcryptsetup.slice',
    ],
    ['..\\a', '..\\a'],
    [part(255), part(255)],
    [parts(64), parts(64)],
  ])('%j is %j', (raw, path) => expect(treePath(raw)).toBe(path))

  test.each([
    ['', /it is empty/],
    ['/', /absolute/],
    ['/etc/passwd', /absolute/],
    ['//a', /absolute/],
    ['..', /leads upwards/],
    ['../a', /leads upwards/],
    ['./../a', /leads upwards/],
    ['a/../b', /leads upwards/],
    ['a/..', /leads upwards/],
    ['a/../', /leads upwards/],
    ['a//b', /part of it is empty/],
    ['a//', /part of it is empty/],
    ['.//', /part of it is empty/],
    ['././a', /part of it is empty/],
    ['a/./b', /part of it is empty/],
    ['a/.', /part of it is empty/],
    ['a\0b', /holds a NUL/],
  ])('%j is refused', (raw, text) => {
    expect(() => treePath(raw)).toThrow(text)
    expect(() => treePath(raw)).toThrow(expect.objectContaining({ code: 'format' }))
  })

  test.each([
    ['tarPathBytes', `${longest.slice(0, 4096)}x`, 4_097],
    ['tarNameBytes', `a/${part(256)}/b`, 256],
    ['tarDepth', parts(65), 65],
  ])('%s', (limit, raw, value) => {
    const error = expect.objectContaining({
      code: 'limit',
      data: expect.objectContaining({ limit, value }),
    })
    expect(() => treePath(raw)).toThrow(error)
  })

  test('4,096 bytes are not too many', () => {
    const raw = Array.from({ length: 17 }, () => part(240)).join('/')
    expect(raw).toHaveLength(4_096)
    expect(treePath(raw)).toBe(raw)
  })

  test('a message shows no control characters and not too much', () => {
    expect(showPath('a\x1b[2Jb\x9bc')).toBe('"a\\u001b[2Jb\ufffdc"')
    expect(showPath('\xc2\x9b')).toBe('"?"')
    expect(showPath(part(4_096))).toHaveLength(200 + 2 + 3)
  })
})

describe('names', () => {
  const names = (...paths: readonly string[]) => {
    const tree = new TreeNames()
    for (const path of paths) {
      const kind = path.endsWith('/') ? 'directory' : path.endsWith('@') ? 'other' : 'file'
      tree.add(treePath(path), kind)
    }
    return tree
  }

  test('parents first, the tree itself anywhere', () => {
    const tree = names('a/', 'a/b/', 'f', './', 'a/b/f', 'a/f', 'link@')
    expect(['f', 'a/f', 'a/b/f'].map((path) => tree.isFile(treePath(path)))).toEqual([
      true,
      true,
      true,
    ])
    expect(['a', 'x', 'link@', '.'].map((path) => tree.isFile(treePath(path)))).toEqual([
      false,
      false,
      false,
      false,
    ])
  })

  test.each([
    ['file after file', ['a', 'a']],
    ['file after directory', ['a/', 'a']],
    ['directory after directory', ['a/', 'a/']],
    ['other spelling', ['a/', 'a/f', './a/f']],
    ['tree itself', ['./', '.']],
  ])('%s: twice is refused', (_, paths) => {
    expect(() => names(...paths.map((path) => (path === '.' ? './' : path)))).toThrow(/comes twice/)
  })

  test.each([
    ['nothing', ['a/f']],
    ['a file', ['a', 'a/f']],
    ['a symbolic link', ['a@', 'a@/f']],
    ['a directory of a link', ['d/', 'd/a@', 'd/a@/b/f']],
    ['one that comes later', ['d/f', 'd/']],
    ['a name of every object', ['constructor/f']],
    ['the prototype', ['__proto__/f']],
  ])('a parent that is %s is refused', (_, paths) => {
    expect(() => names(...paths)).toThrow(/parent is no directory/)
  })

  test('the place of a hard link target needs a directory as well', () => {
    const tree = names('a@')
    expect(() => tree.isFile(treePath('a@/f'))).toThrow(/parent is no directory/)
  })

  test('the tree itself cannot be a file', () => {
    expect(() => new TreeNames().add(treePath('./'), 'file')).toThrow(/no directory/)
  })
})
