/**
 * How large a store is: what preflight asks for is what staging finds.
 *
 * 1. The packed target gets room with a reserve, allocated before it is fetched.
 * 2. The file system has few inodes and a small journal, of sizes that do not depend on the disk
 *    or on the host's mke2fs.conf; so what it takes for itself can be said beforehand.
 * 3. The rest is for journal, logs, carry and certificates.
 *
 * Pure.
 */
import { alignUp, MIB } from '../units.ts'

const BLOCK_BYTES = 4096
const INODE_BYTES = 256
/** Files are few, and one of them is nearly all. */
const BYTES_PER_INODE = 65_536
/** The least that a block of 4 KiB allows. */
const JOURNAL_MIB = 4

/** For mkfs.ext4. */
export const SHAPE = [
  '-b',
  String(BLOCK_BYTES),
  '-I',
  String(INODE_BYTES),
  '-i',
  String(BYTES_PER_INODE),
  '-J',
  `size=${JOURNAL_MIB}`,
] as const

/** Inodes take 0.4 %, bitmaps and descriptors less than 0.01 %. */
const OVERHEAD = 0.005
const SPARE_BYTES = 64 * MIB
const RESERVE = 1.05

/** What is allocated for a packed target; bytes. */
export const roomForImage = (packedBytes: number): number => Math.ceil(packedBytes * RESERVE)

/** How large the store's partition must be for a packed target; bytes. */
export const storeBytesFor = (packedBytes: number): number =>
  alignUp(
    Math.ceil(roomForImage(packedBytes) * (1 + OVERHEAD)) + JOURNAL_MIB * MIB + SPARE_BYTES,
    MIB,
  )
