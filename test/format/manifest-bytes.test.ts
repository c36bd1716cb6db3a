/** The bytes of a manifest: one spelling, known keys, limits, and what fields say of each other. */
import { describe, expect, it } from 'vitest'
import { OsflashError } from '../../src/errors.ts'
import type { DiskLayout, Manifest } from '../../src/format/manifest.ts'
import { encodeManifest, parseManifest } from '../../src/format/manifest-bytes.ts'
import { MIB } from '../../src/units.ts'
import { gptLayout, partition } from '../unpack/disk-fixtures.ts'

const zeros = '0'.repeat(64)
const payload = (name: string, offsetBytes: number, rawBytes = 4_096): Manifest['payloads'][0] => ({
  name,
  place: { kind: 'region', offsetBytes },
  rawBytes,
  codec: 'zstd',
  index: { bytes: 1, sha256: zeros, contentBytes: 1, contentDigest: zeros, blocksDigest: zeros },
  segments: [{ bytes: 100, plainBytes: 20, sha256: zeros }],
})

function manifest(more: Partial<Manifest> = {}): Manifest {
  return {
    format: 'osflash-image/1',
    name: 'test',
    sequence: 1,
    created: '2023-11-14T22:13:20Z',
    os: { family: 'linux' },
    architecture: 'x86_64',
    firmware: ['bios', 'uefi'],
    disk: gptLayout(),
    encryption: { cipher: 'aes256', aead: 'ocb', chunkOctet: 12 },
    payloads: [payload('root', 4 * MIB)],
    ...more,
  }
}

const text = (value: unknown = manifest()): string => `${JSON.stringify(value)}\n`
const parse = (source: string): Manifest => parseManifest(Buffer.from(source))

function failure(source: string | Uint8Array): OsflashError {
  try {
    parseManifest(typeof source === 'string' ? Buffer.from(source) : source)
  } catch (error) {
    if (error instanceof OsflashError) return error
    throw error
  }
  throw new Error('accepted')
}

describe('spelling', () => {
  it('reads back what was written', () => {
    expect(parseManifest(encodeManifest(manifest()))).toEqual(manifest())
  })

  it.each([
    ['no line feed', text().trimEnd()],
    ['two line feeds', `${text()}\n`],
    ['a blank', text().replace(':', ': ')],
    ['a key twice', text().replace('{', '{"name":"other",')],
    ['a number with a fraction', text().replace('"sequence":1', '"sequence":1.0')],
    ['a number with an exponent', text().replace('"sequence":1', '"sequence":1e0')],
    ['an escape that is not needed', text().replace('"test"', '"\\u0074est"')],
    ['__proto__', text().replace('{', '{"__proto__":{},')],
  ])('refuses %s', (_, source) => {
    expect(failure(source)).toMatchObject({ code: 'format' })
  })

  it.each([
    ['no JSON', '{', 'is not JSON'],
    ['nothing', '', 'is not JSON'],
    ['a byte order mark', `\ufeff${text()}`, 'is not JSON'],
  ])('refuses %s', (_, source, why) => {
    expect(failure(source).message).toBe(`reading manifest.json: ${why}`)
  })

  it('refuses what is not UTF-8', () => {
    expect(failure(Buffer.of(0x7b, 0xff, 0x7d)).message).toMatch(/is not UTF-8/)
  })
})

describe('limits', () => {
  it('refuses more than 1 MiB, however it looks', () => {
    const error = failure(Buffer.alloc(MIB + 1, 0x20))
    expect(error).toMatchObject({ code: 'limit', data: { limit: 'manifestBytes' } })
  })

  it('refuses depth 9 before it is parsed; brackets in strings do not count', () => {
    expect(failure('['.repeat(9))).toMatchObject({ data: { limit: 'manifestDepth', value: 9 } })
    expect(failure('['.repeat(8)).message).toMatch(/is not JSON/)
    const title = '[{"\\['.repeat(20)
    expect(parse(text(manifest({ os: { family: 'linux', title } }))).os.title).toBe(title)
  })

  it('refuses strings of more than 4 KiB', () => {
    const os = (bytes: number) => ({ os: { family: 'linux' as const, title: 'x'.repeat(bytes) } })
    expect(parse(text(manifest(os(4_096)))).os.title).toHaveLength(4_096)
    expect(failure(text(manifest(os(4_097)))).message).toMatch(/os\.title/)
  })

  it('refuses integers past 2^53 - 1', () => {
    expect(failure(text(manifest({ sequence: 2 ** 53 }))).message).toMatch(/sequence/)
    expect(parse(text(manifest({ sequence: 2 ** 53 - 1 }))).sequence).toBe(2 ** 53 - 1)
  })
})

describe('schema', () => {
  it.each([
    ['an unknown key', { x: 1 }, /top level: .*x/],
    ['another version', { format: 'osflash-image/2' }, /format/],
    ['a name with a slash', { name: 'a/b' }, /name/],
    ['no payload', { payloads: [] }, /payloads/],
    ['a local time', { created: '2023-11-14T22:13:20+01:00' }, /created/],
    ['another cipher', { encryption: { cipher: 'aes128', aead: 'ocb', chunkOctet: 12 } }, /cipher/],
    [
      'a chunk octet of 17',
      { encryption: { cipher: 'aes256', aead: 'ocb', chunkOctet: 17 } },
      /17|chunkOctet/,
    ],
  ])('refuses %s', (_, more, message) => {
    const error = failure(text({ ...manifest(), ...more }))
    expect(error.code).toBe('format')
    expect(error.message).toMatch(message)
  })

  it('refuses an unknown key deep inside, with its path', () => {
    const odd = { ...payload('root', 4 * MIB), place: { kind: 'region', offsetBytes: 0, x: 1 } }
    expect(failure(text({ ...manifest(), payloads: [odd] })).message).toMatch(/payloads\.0\.place/)
  })
})

describe('rules', () => {
  const withDisk = (more: Partial<DiskLayout>) => manifest({ disk: { ...gptLayout(), ...more } })
  const mbr = { kind: 'mbr', diskId: '00000001' } as const
  const mbrPart = (number: number, firstLba: number, sectors: number) => {
    const { guid: _, ...rest } = partition(number, firstLba, sectors)
    return { ...rest, type: '83' }
  }
  const { disk: _, ...noDisk } = manifest()
  const bootCode = (bytes: number) => ({
    kind: 'gpt' as const,
    guid: 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
    bootCode: Buffer.alloc(bytes, 1).toString('base64'),
  })
  const tree = { ...payload('tree', 0), place: { kind: 'tree' as const, entries: 1 } }
  const at = (...places: number[]) =>
    manifest({ payloads: places.map((place, n) => payload(`p${n}`, place)) })

  it.each([
    [
      'a payload named twice',
      manifest({ payloads: [payload('a', MIB), payload('a', 2 * MIB)] }),
      /a is named twice/,
    ],
    ['regions that overlap', at(MIB, MIB + 2_048), /p1 overlaps/],
    ['a region in the table', at(512), /p0 overlaps/],
    ['a region between sectors', at(MIB + 1), /does not start at a sector/],
    ['a region behind the disk', at(16 * MIB), /larger than the smallest disk/],
    ['regions without a disk', noDisk, /needs a disk/],
    ['a tree beside regions', manifest({ payloads: [payload('a', MIB), tree] }), /tree/],
    [
      'partitions that overlap',
      withDisk({ partitions: [partition(1, 2_048, 9), partition(2, 2_050, 9)] }),
      /partition 2 overlaps/,
    ],
    [
      'a partition in the table',
      withDisk({ partitions: [partition(1, 33, 9)] }),
      /partition 1 overlaps/,
    ],
    [
      'a partition behind the disk',
      withDisk({ partitions: [partition(1, 2_048, 30_688)] }),
      /do not fit/,
    ],
    [
      'a partition twice',
      withDisk({ partitions: [partition(1, 2_048, 9), partition(1, 4_096, 9)] }),
      /listed twice/,
    ],
    ['an empty partition', withDisk({ partitions: [partition(1, 2_048, 0)] }), /is empty/],
    [
      'a growing one in the middle',
      withDisk({ partitions: [{ ...partition(1, 2_048, 9), grow: true }, partition(2, 4_096, 9)] }),
      /not the last/,
    ],
    [
      'an MBR type in a GPT',
      withDisk({ partitions: [{ ...partition(1, 2_048, 9), type: '83' }] }),
      /needs a type GUID/,
    ],
    [
      'five MBR partitions',
      withDisk({ table: mbr, partitions: [mbrPart(5, 2_048, 9)] }),
      /primary MBR/,
    ],
    ['half a sector', withDisk({ minimumBytes: 16 * MIB + 1 }), /whole number of sectors/],
    ['441 bytes of boot code', withDisk({ table: bootCode(441) }), /boot ?code/i],
    [
      'an MBR past 2^32 sectors',
      withDisk({ table: mbr, minimumBytes: 2 ** 42, partitions: [mbrPart(1, 2_048, 2 ** 32)] }),
      /past what an MBR/,
    ],
  ])('refuses %s', (_, wrong, message) => {
    const error = failure(text(wrong))
    expect(error.code).toBe('format')
    expect(error.message).toMatch(message)
  })

  it('takes 440 bytes of boot code, four MBR partitions, trees alone', () => {
    expect(() => parse(text(withDisk({ table: bootCode(440) })))).not.toThrow()
    const partitions = [1, 2, 3, 4].map((n) => mbrPart(n, n * 2_048, 100))
    expect(() => parse(text(withDisk({ table: mbr, partitions })))).not.toThrow()
    expect(() => parse(text({ ...noDisk, payloads: [tree] }))).not.toThrow()
  })
})
