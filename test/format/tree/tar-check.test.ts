import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../../src/format/limits.ts'
import { TarChecker } from '../../../src/format/tree/tar-check.ts'
import type { TarEntry } from '../../../src/format/tree/tar-entry.ts'
import {
  directory,
  END,
  entry,
  header,
  octal,
  padded,
  paxBlock,
  paxRecord,
  tarOf,
} from './hand-made-tar.ts'

/** Entries and content of a whole tar. */
function read(tar: Buffer, entries: number) {
  const checker = new TarChecker(entries)
  const found: TarEntry[] = []
  const contents: string[] = []
  for (const event of checker.feed(tar)) {
    if (event.kind === 'entry') found.push(event.entry)
    else contents.push(event.bytes.toString('latin1'))
  }
  checker.finish()
  return { entries: found, contents }
}

const refusal = (tar: Buffer, entries = 1) => {
  try {
    read(tar, entries)
  } catch (error) {
    return error
  }
  throw new Error('was not refused')
}

const expectRefused = (tar: Buffer, code: string, text: string | RegExp) => {
  const error = refusal(tar, 10)
  expect(error).toMatchObject({ name: 'OsflashError', code })
  expect(error).toHaveProperty('message', expect.stringMatching(text))
}

const pax = (key: string, value: string) => entry({ pax: [paxRecord(key, value)] })

describe('what a tree may hold', () => {
  test('every type, with its own fields', () => {
    const tar = tarOf(
      directory('./'),
      entry({ name: './a', content: 'abc', mode: '0004755\0', uid: octal(7, 7) }),
      entry({ name: 'hard', type: '1', linkName: './a' }),
      entry({ name: 'soft', type: '2', linkName: '../../etc/passwd' }),
      entry({ name: 'tty', type: '3', device: ['0000005\0', '0000001\0'] }),
      entry({ name: 'disk', type: '4', device: ['0000010\0', '0000021\0'] }),
      entry({ name: 'pipe', type: '6' }),
    )
    const { entries, contents } = read(tar, 7)
    expect(entries.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'directory ',
      'file a',
      'hard-link hard',
      'symlink soft',
      'device tty',
      'device disk',
      'fifo pipe',
    ])
    expect(contents).toEqual(['abc'])
    expect(entries[1]).toMatchObject({ mode: 0o4755, uid: 7, mtime: 1_700_000_000, bytes: 3 })
    expect(entries[2]).toMatchObject({ target: 'a' })
    expect(entries[3]).toMatchObject({ target: '../../etc/passwd' })
    expect(entries[4]).toMatchObject({ device: 'character', major: 5, minor: 1 })
    expect(entries[5]).toMatchObject({ device: 'block', major: 8, minor: 17 })
  })

  test('extended headers replace the fields of the one next header', () => {
    const records = [
      paxRecord('path', 'l\u00c3\u00a4nge'),
      paxRecord('mtime', '-1.5'),
      paxRecord('uid', '4000000000'),
      paxRecord('gid', '4294967294'),
      paxRecord('uname', 'somebody'),
      paxRecord('atime', '1.0'),
      paxRecord('size', '3'),
      paxRecord('SCHILY.xattr.user.a%3Db%25', 'v\0\n='),
      paxRecord('SCHILY.xattr.user.empty', ''),
    ]
    const tar = tarOf(
      entry({ content: 'abc', size: octal(0), pax: records }),
      entry({ name: 'next', content: 'x' }),
    )
    const { entries, contents } = read(tar, 2)
    expect(entries[0]).toMatchObject({
      path: 'l\u00c3\u00a4nge',
      mtime: -1.5,
      uid: 4_000_000_000,
      gid: 4_294_967_294,
      bytes: 3,
      xattrs: [
        { name: 'user.a=b%', value: Buffer.from('v\0\n=') },
        { name: 'user.empty', value: Buffer.alloc(0) },
      ],
    })
    expect(entries[1]).toMatchObject({ path: 'next', mtime: 1_700_000_000, xattrs: [] })
    expect(contents).toEqual(['abc', 'x'])
  })

  test('a size over 8 GiB, which only pax can tell', () => {
    const bytes = 2 ** 40 + 1
    const records = paxBlock([paxRecord('size', String(bytes))])
    const [event] = new TarChecker(1).feed(Buffer.concat([records, header({})]))
    expect(event).toMatchObject({ kind: 'entry', entry: { kind: 'file', bytes } })
  })

  test('a pax block of exactly 64 KiB, and zeros up to a record after the end', () => {
    const start = paxRecord('SCHILY.xattr.user.a', 'v'.repeat(60_000)).length
    const rest = LIMITS.tarPaxBytes - start - paxRecord('SCHILY.xattr.user.b', '').length - 2
    const records = [
      paxRecord('SCHILY.xattr.user.a', 'v'.repeat(60_000)),
      paxRecord('SCHILY.xattr.user.b', 'v'.repeat(rest)),
    ]
    expect(records.join('').length).toBe(LIMITS.tarPaxBytes)
    const tar = Buffer.concat([tarOf(entry({ pax: records })), Buffer.alloc(9 * 512)])
    expect(read(tar, 1).entries[0]?.xattrs).toHaveLength(2)
  })

  test('an empty tree', () => {
    expect(read(END, 0).entries).toEqual([])
  })
})

describe('headers that are refused', () => {
  test.each<[string, Buffer, RegExp]>([
    ['checksum', header({ checksum: '000001\0 ' }), /byte 0 .*checksum is wrong/],
    ['no checksum', header({ checksum: '\0\0\0\0\0\0\0\0' }), /checksum is not an octal/],
    ['GNU magic', header({ magic: 'ustar  \0' }), /no POSIX header/],
    ['no magic', header({ magic: '\0\0\0\0\0\0\0\0' }), /no POSIX header/],
    ['binary size', header({ size: `\x80${'\0'.repeat(10)}\x01` }), /size is not an octal/],
    ['size without end', header({ size: '777777777777' }), /size is not an octal/],
    ['signed size', header({ size: '-0000000001\0' }), /size is not an octal/],
    ['digits after the end', header({ mode: '644\x00755\0' }), /mode is not an octal/],
    ['mode over 07777', header({ mode: '0100644\0' }), /mode is over 07777/],
    ['bytes after a name', header({ patch: [50, 'hidden'] }), /name goes on after a NUL/],
    ['bytes after a prefix', header({ patch: [400, 'hidden'] }), /prefix goes on/],
    ['bytes after a target', header({ patch: [200, 'hidden'] }), /link name goes on/],
    ['file with a target', header({ linkName: 'a' }), /no link and has a link target/],
    ['directory with content', header({ type: '5', size: octal(1) }), /cannot have content/],
    ['link with content', header({ type: '2', linkName: 'a', size: octal(1) }), /cannot have/],
    ['device without number', header({ type: '3', device: ['\0', '\0'] }), /device is not/],
    ['symlink to nothing', header({ type: '2' }), /target is empty/],
  ])('%s', (_, block, text) => expectRefused(tarOf(block), 'format', text))

  test.each([
    ['g', /global pax/],
    ['L', /GNU long name/],
    ['K', /GNU long link/],
    ['S', /GNU sparse/],
    ['M', /multi-volume/],
    ['V', /volume label/],
    ['D', /directory dump/],
    ['N', /old long name/],
    ['7', /contiguous/],
    ['\0', /before POSIX/],
    ['X', /0x58/],
    ['A', /0x41/],
  ])('type %j', (type, text) => {
    const error = refusal(tarOf(entry({ type, content: 'x' })))
    expect(error).toMatchObject({ code: 'format', data: { byte: 0 } })
    expect(error).toHaveProperty('message', expect.stringMatching(text))
  })
})

describe('extended headers that are refused', () => {
  test('one that announces more than 64 KiB, before a byte of it came', () => {
    const block = header({ type: 'x', size: octal(LIMITS.tarPaxBytes + 1) })
    const error = refusal(block)
    const data = { limit: 'tarPaxBytes', value: 65_537, max: 65_536 }
    expect(error).toMatchObject({ code: 'limit', data })
  })

  test.each<[string, Buffer, RegExp]>([
    ['unknown key', pax('comment', 'x'), /pax key "comment" is not supported/],
    ['GNU sparse', pax('GNU.sparse.major', '1'), /GNU.sparse.major/],
    ['other character set', pax('hdrcharset', 'BINARY'), /hdrcharset/],
    ['access list', pax('SCHILY.acl.access', 'x'), /SCHILY.acl.access/],
    ['label', pax('RHT.security.selinux', 'x'), /RHT.security.selinux/],
    ['prototype', pax('__proto__', 'x'), /__proto__/],
    ['attribute without namespace', pax('SCHILY.xattr.plain', 'x'), /no name of an extended/],
    ['attribute with a NUL', pax('SCHILY.xattr.user.a\0b', 'x'), /no name of an/],
    ['attribute with a long name', pax(`SCHILY.xattr.user.${'n'.repeat(251)}`, ''), /no name/],
    ['empty path', pax('path', ''), /path is empty/],
    ['size in words', pax('size', '1e3'), /size is not a number/],
    ['size below zero', pax('size', '-1'), /size is not a number/],
    ['size over 2^53', pax('size', '9007199254740993'), /over 2\^53/],
    ['time in words', pax('mtime', 'now'), /mtime is not a number/],
    ['uid with sign', pax('uid', '+1'), /uid is not a number/],
    ['uid that means "leave it"', pax('uid', '4294967295'), /owner is over/],
    ['target of a file', pax('linkpath', 'x'), /no link and has a link target/],
    ['key twice', entry({ pax: [paxRecord('uid', '1'), paxRecord('uid', '1')] }), /comes twice/],
    ['two blocks', Buffer.concat([paxBlock([paxRecord('uid', '1')]), pax('uid', '1')]), /two pax/],
    ['empty block', entry({ pax: [] }), /pax header is empty/],
    ['no entry after it', paxBlock([paxRecord('uid', '1')]), /no entry follows/],
  ])('%s', (_, tar, text) => expectRefused(tarOf(tar), 'format', text))

  test.each([
    ['no length', 'uid=1\n'],
    ['leading zero', '08 uid=1\n'],
    ['length without space', '8uid=1\n'],
    ['too long', '9 uid=1\n'],
    ['too short', '7 uid=1\n'],
    ['beyond the block', '999 uid=1\n'],
    ['no equals sign', '6 uid\n'],
    ['no key', '5 =1\n'],
    ['equals sign in the next record', '6 uid\n8 gid=1\n'],
    ['bytes after the last record', '8 uid=1\n\0\0'],
    ['endless length', `${'1'.repeat(40)} uid=1\n`],
  ])('record with %s', (_, record) => {
    expectRefused(tarOf(entry({ pax: [record] })), 'format', /pax record has/)
  })

  test('two sizes that differ; two that agree are one', () => {
    const sizes = (size: string) => tarOf(entry({ content: 'abc', pax: [paxRecord('size', size)] }))
    expectRefused(sizes('2'), 'format', /size is 3 and, in pax, 2/)
    expect(read(sizes('3'), 1).contents).toEqual(['abc'])
  })
})

describe('padding', () => {
  const at = (tar: Buffer, byte: number): Buffer => {
    tar[byte] = 1
    return tar
  }
  const file = () => tarOf(entry({ name: 'a', content: 'abc' }), entry({ name: 'b' }))
  const records = [paxRecord('uid', '1')]
  const pax = () => tarOf(entry({ name: 'a', pax: records }))

  test.each<[string, Buffer, number]>([
    ['a file: its first byte', at(file(), 515), 515],
    ['a file: its last byte', at(file(), 1_023), 1_023],
    ['a pax header: its first byte', at(pax(), 512 + records.join('').length), 520],
    ['a pax header: its last byte', at(pax(), 1_023), 1_023],
  ])('after %s must be zero', (_, tar, byte) => {
    const error = refusal(tar, 2)
    expect(error).toMatchObject({ code: 'format', data: { byte } })
    expect(error).toHaveProperty('message', expect.stringContaining('padding is not zero'))
  })

  test('is looked at in whatever pieces it comes', () => {
    const checker = new TarChecker(2)
    const bytes = at(file(), 1_000)
    const feedAll = () => {
      for (const byte of bytes) for (const _ of checker.feed(Buffer.of(byte)));
    }
    expect(feedAll).toThrow(/up to byte 1000: the padding/)
  })
})

describe('the end of a tar', () => {
  const file = entry({ name: 'a', content: 'abc' })

  test.each<[string, Buffer, RegExp]>([
    ['is missing', file, /end of the tar is missing/],
    ['is one block only', Buffer.concat([file, Buffer.alloc(512)]), /end of the tar is missing/],
    ['is one block before more', Buffer.concat([file, Buffer.alloc(512), file]), /block of zeros/],
    ['is followed by a byte', Buffer.concat([tarOf(file), Buffer.from('x')]), /up to byte 2048/],
    ['is followed by an entry', Buffer.concat([tarOf(file), file]), /something follows the end/],
    ['is followed by half a block', Buffer.concat([tarOf(file), Buffer.alloc(9)]), /cut short/],
    ['comes within a header', file.subarray(0, 300), /end of the tar is missing/],
    ['comes within content', file.subarray(0, 514), /end of the tar is missing/],
    ['comes within padding', file.subarray(0, 600), /end of the tar is missing/],
    ['comes before anything', Buffer.alloc(0), /end of the tar is missing/],
  ])('%s', (_, tar, text) => expectRefused(tar, 'format', text))

  test('fewer or more entries than announced', () => {
    const tar = tarOf(file, entry({ name: 'b' }))
    expect(refusal(tar, 3)).toHaveProperty('message', expect.stringMatching(/2 entries.*names 3/))
    expect(refusal(tar, 1)).toHaveProperty('message', expect.stringMatching(/names 1 entries/))
  })

  test('more than 5,000,000 entries announced', () => {
    expect(() => new TarChecker(5_000_000)).not.toThrow()
    const data = { limit: 'tarEntries', value: 5_000_001 }
    expect(() => new TarChecker(5_000_001)).toThrow(
      expect.objectContaining({ data: expect.objectContaining(data) }),
    )
  })
})

test('content is given as views, never copied', () => {
  const content = Buffer.alloc(100_000, 'c')
  const tar = Buffer.concat([header({ size: octal(content.length) }), padded(content)])
  const [, event] = new TarChecker(1).feed(tar)
  expect(event?.kind === 'content' && event.bytes.buffer === tar.buffer).toBe(true)
})
