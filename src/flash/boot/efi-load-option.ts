/**
 * Boot entries of the firmware: EFI_LOAD_OPTION (UEFI 2.10, 3.1.3) and the device path nodes
 * (chapter 10) that name a file on a partition of a GPT disk.
 *
 * | offset | size | what                                                          |
 * |--------|------|---------------------------------------------------------------|
 * | 0      | 4    | attributes; bit 0: active                                     |
 * | 4      | 2    | length of the device path                                     |
 * | 6      | …    | description, UTF-16LE, ends with a zero                       |
 * | …      | …    | device path: nodes of type (1), subtype (1), length (2), data |
 *
 * 1. HD (04 01, 42 bytes): number (4), first LBA (8), LBAs (8), PARTUUID (16), 02 02.
 * 2. File (04 04): the path, UTF-16LE with `\`, ends with a zero. End: 7F FF 04 00.
 * 3. An entry counts as ours by PARTUUID and path: firmware may put the controller before them, or
 *    data behind. For the shell of the trial agent the same is a pattern.
 *
 * Pure. Not promised: partitions of MBR disks.
 */
import { decodeGuid, encodeGuid } from '../../format/gpt.ts'

export interface EspFacts {
  /** Number of the partition, from 1. */
  readonly number: number
  /** In logical sectors of the disk. */
  readonly firstLba: number
  readonly sectors: number
  /** PARTUUID, lower case. */
  readonly guid: string
}

/** What a boot entry starts. */
export interface LoadFile {
  readonly esp: EspFacts
  /** Such as `\EFI\BOOT\BOOTX64.EFI`. */
  readonly path: string
}

/** By which a boot entry is known again. */
export interface NamedFile {
  readonly esp: Pick<EspFacts, 'guid'>
  readonly path: string
}

const ACTIVE = 1
const HEADER_BYTES = 6
const NODE_HEADER_BYTES = 4
const MEDIA = 4
const HD = 1
const HD_BYTES = 42
const FILE = 4
const END = Buffer.from([0x7f, 0xff, 4, 0])
/** Partition format and signature type of a GPT disk. */
const GPT = [2, 2] as const

export function encodeLoadOption(description: string, file: LoadFile): Uint8Array {
  const path = Buffer.concat([hdNode(file.esp), fileNode(file.path), END])
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(ACTIVE, 0)
  header.writeUInt16LE(path.length, 4)
  return Uint8Array.from(Buffer.concat([header, utf16(description), path]))
}

/** Whether a boot entry is active and starts this file of this partition. */
export function startsFile(option: Uint8Array, { esp, path }: NamedFile): boolean {
  const parsed = parseLoadOption(option)
  if (parsed === undefined || !parsed.active || parsed.guid !== esp.guid) return false
  return parsed.path?.toLowerCase() === path.toLowerCase()
}

/** Whether its partition lies where it is said to; some firmware wants number and LBAs too. */
export function namesPlace(option: Uint8Array, esp: EspFacts): boolean {
  const { nodes } = splitLoadOption(Buffer.from(option)) ?? {}
  return hdOf(nodes)?.equals(hdNode(esp).subarray(NODE_HEADER_BYTES)) === true
}

/**
 * What `startsFile` looks for, as a pattern of the shell (POSIX XCU 2.13) for the whole variable in
 * lower-case hexadecimal digits, with the four bytes of attributes that efivarfs puts first.
 */
export function optionPattern({ esp, path }: NamedFile): string {
  const hd = Buffer.from([MEDIA, HD, HD_BYTES, 0]).toString('hex')
  const guid = encodeGuid(esp.guid).toString('hex')
  const partition = `${hd}${anyBytes(20)}${guid}${Buffer.from(GPT).toString('hex')}`
  const node = fileNode(path)
  const header = node.toString('hex', 0, NODE_HEADER_BYTES)
  const text = node.toString('hex', NODE_HEADER_BYTES).replace(LETTER, eitherCase)
  const active = '?[13579bdf]'
  const end = END.toString('hex', 0, 1)
  return `${anyBytes(4)}${active}${anyBytes(3)}*${partition}${header}${text}${end}*`
}

const anyBytes = (bytes: number): string => '?'.repeat(2 * bytes)

/** A whole UTF-16 character in hexadecimal digits. */
const LETTER = /..../g

function eitherCase(hex: string): string {
  const letter = Buffer.from(hex, 'hex').toString('utf16le')
  if (!/^[a-z]$/i.test(letter)) return hex
  return `[${/[a-o]/i.test(letter) ? '46' : '57'}]${hex.slice(1)}`
}

interface ParsedLoadOption {
  readonly active: boolean
  readonly description: string
  /** PARTUUID of the first partition in the device path. */
  readonly guid: string | undefined
  readonly path: string | undefined
}

/** undefined when it is no load option. */
export function parseLoadOption(option: Uint8Array): ParsedLoadOption | undefined {
  const bytes = Buffer.from(option)
  const { end, nodes } = splitLoadOption(bytes) ?? {}
  if (end === undefined) return undefined
  const hd = hdOf(nodes)
  const file = nodes?.find(({ subtype }) => subtype === FILE)
  const hasGuid = hd?.[36] === GPT[0] && hd[37] === GPT[1]
  return {
    active: (bytes.readUInt32LE(0) & ACTIVE) !== 0,
    description: bytes.toString('utf16le', HEADER_BYTES, end - 2),
    guid: hd !== undefined && hasGuid ? decodeGuid(hd, 20) : undefined,
    path: file?.data.toString('utf16le').replace(/\0.*$/s, ''),
  }
}

interface SplitLoadOption {
  /** Behind the description. */
  readonly end: number
  readonly nodes: readonly MediaNode[] | undefined
}

function splitLoadOption(bytes: Buffer): SplitLoadOption | undefined {
  if (bytes.length < HEADER_BYTES) return undefined
  const end = endOfText(bytes, HEADER_BYTES)
  const pathBytes = bytes.readUInt16LE(4)
  if (end === undefined || end + pathBytes > bytes.length) return undefined
  return { end, nodes: nodesOf(bytes.subarray(end, end + pathBytes)) }
}

/** Data of the first partition's node. */
const hdOf = (nodes: readonly MediaNode[] | undefined): Buffer | undefined =>
  nodes?.find(({ subtype, data }) => subtype === HD && data.length === HD_DATA_BYTES)?.data

const HD_DATA_BYTES = HD_BYTES - NODE_HEADER_BYTES

interface MediaNode {
  readonly subtype: number
  readonly data: Buffer
}

/** The media nodes before the first end; undefined when the lengths do not hold. */
function nodesOf(path: Buffer): readonly MediaNode[] | undefined {
  const nodes: MediaNode[] = []
  for (let at = 0; at < path.length; ) {
    if (path[at] === END[0]) return nodes
    if (at + NODE_HEADER_BYTES > path.length) return undefined
    const length = path.readUInt16LE(at + 2)
    if (length < NODE_HEADER_BYTES || at + length > path.length) return undefined
    const data = path.subarray(at + NODE_HEADER_BYTES, at + length)
    if (path[at] === MEDIA) nodes.push({ subtype: path[at + 1] ?? 0, data })
    at += length
  }
  return undefined
}

function endOfText(bytes: Buffer, from: number): number | undefined {
  for (let at = from; at + 2 <= bytes.length; at += 2) {
    if (bytes.readUInt16LE(at) === 0) return at + 2
  }
  return undefined
}

function hdNode({ number, firstLba, sectors, guid }: EspFacts): Buffer {
  const node = Buffer.alloc(HD_BYTES)
  node.set([MEDIA, HD, HD_BYTES, 0])
  node.writeUInt32LE(number, 4)
  node.writeBigUInt64LE(BigInt(firstLba), 8)
  node.writeBigUInt64LE(BigInt(sectors), 16)
  encodeGuid(guid).copy(node, 24)
  node.set(GPT, 40)
  return node
}

function fileNode(path: string): Buffer {
  const text = utf16(path)
  const header = Buffer.from([MEDIA, FILE, 0, 0])
  header.writeUInt16LE(NODE_HEADER_BYTES + text.length, 2)
  return Buffer.concat([header, text])
}

const utf16 = (text: string): Buffer => Buffer.from(`${text}\0`, 'utf16le')
