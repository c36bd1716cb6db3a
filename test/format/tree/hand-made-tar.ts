/**
 * Tar blocks made by hand, so that each rule can be broken alone: every field is what the test
 * says, the checksum is right unless the test breaks it.
 */

const BLOCK = 512

/** Fields of a header; strings hold one byte per character. */
export interface HandMadeHeader {
  readonly name?: string
  readonly type?: string
  readonly linkName?: string
  readonly mode?: string
  readonly uid?: string
  readonly gid?: string
  readonly size?: string
  readonly mtime?: string
  readonly magic?: string
  readonly device?: readonly [major: string, minor: string]
  readonly prefix?: string
  /** Replaces the right one. */
  readonly checksum?: string
  /** Put over the finished block, before the checksum is computed. */
  readonly patch?: readonly [at: number, bytes: string]
}

export interface HandMadeEntry extends HandMadeHeader {
  readonly content?: Uint8Array | string
  readonly pax?: readonly string[] | Buffer
}

/** Two blocks of zeros. */
export const END = Buffer.alloc(2 * BLOCK)

export const octal = (n: number, digits = 11): string => `${n.toString(8).padStart(digits, '0')}\0`

export function header(fields: HandMadeHeader): Buffer {
  const block = Buffer.alloc(BLOCK)
  block.write(fields.name ?? 'file', 0, 100, 'latin1')
  block.write(fields.mode ?? '0000644\0', 100, 'latin1')
  block.write(fields.uid ?? octal(process.geteuid?.() ?? 0, 7), 108, 'latin1')
  block.write(fields.gid ?? octal(process.getegid?.() ?? 0, 7), 116, 'latin1')
  block.write(fields.size ?? octal(0), 124, 'latin1')
  block.write(fields.mtime ?? octal(1_700_000_000), 136, 'latin1')
  block.write('        ', 148, 'latin1')
  block.write(fields.type ?? '0', 156, 'latin1')
  block.write(fields.linkName ?? '', 157, 100, 'latin1')
  block.write(fields.magic ?? 'ustar\x0000', 257, 'latin1')
  block.write(fields.device?.[0] ?? '0000000\0', 329, 'latin1')
  block.write(fields.device?.[1] ?? '0000000\0', 337, 'latin1')
  block.write(fields.prefix ?? '', 345, 155, 'latin1')
  if (fields.patch !== undefined) block.write(fields.patch[1], fields.patch[0], 'latin1')
  block.write(fields.checksum ?? checksumOf(block), 148, 'latin1')
  return block
}

/** The checksum field that is right for a block, whatever stands in the field. */
export function checksumOf(block: Buffer): string {
  let sum = 8 * 0x20
  for (const [at, byte] of block.entries()) if (at < 148 || at >= 156) sum += byte
  return `${sum.toString(8).padStart(6, '0')}\0 `
}

export function padded(content: Uint8Array): Buffer {
  const padding = (BLOCK - (content.length % BLOCK)) % BLOCK
  return Buffer.concat([content, Buffer.alloc(padding)])
}

/** `LENGTH KEY=VALUE\n`; strings hold one byte per character. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length += 1
  return `${length}${rest}`
}

export function paxBlock(records: readonly string[] | Buffer): Buffer {
  const body = Buffer.isBuffer(records) ? records : Buffer.from(records.join(''), 'latin1')
  const name = 'PaxHeaders/x'
  return Buffer.concat([header({ name, type: 'x', size: octal(body.length) }), padded(body)])
}

export function entry({ content = '', pax, ...fields }: HandMadeEntry): Buffer {
  const body = typeof content === 'string' ? Buffer.from(content, 'latin1') : content
  const size = fields.size ?? octal(body.length)
  const parts = [header({ ...fields, size }), padded(body)]
  return Buffer.concat(pax === undefined ? parts : [paxBlock(pax), ...parts])
}

export function directory(name: string, fields: HandMadeEntry = {}): Buffer {
  return entry({ name, type: '5', mode: '0000755\0', ...fields })
}

/** A whole tar. */
export function tarOf(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...parts, END])
}
