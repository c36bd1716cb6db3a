/**
 * What packing starts from: a layout, and for each payload a file with its raw bytes.
 *
 * 1. `build` makes one from a recipe, `import` from a disk image, a directory or a tarball.
 * 2. The image writer reads the files by range, from several workers, and never changes them.
 */
import type {
  BootEntry,
  DiskLayout,
  Manifest,
  OperatingSystem,
  PayloadPlace,
} from '../format/manifest.ts'
import type { ByteCount, ByteOffset } from '../units.ts'

/** A run of bytes of a payload. */
export interface ByteRange {
  readonly offset: ByteOffset
  readonly length: ByteCount
}

/** One payload before it is packed. */
export interface PayloadSource {
  readonly name: string
  readonly place: PayloadPlace
  /** A regular file or block device; the payload is `length` bytes of it from `offset`. */
  readonly path: string
  readonly range: ByteRange
  /** Ranges of the payload that need not be written (free blocks of a file system), sorted. */
  readonly unused: readonly ByteRange[]
}

/** Everything about an image but its frames, keys and signatures. */
export interface ImageSource {
  readonly name: string
  readonly sequence: number
  readonly created: string
  readonly expires?: string
  readonly os: OperatingSystem
  readonly architecture: Manifest['architecture']
  readonly firmware: Manifest['firmware']
  readonly boot?: BootEntry
  readonly disk?: DiskLayout
  readonly payloads: readonly PayloadSource[]
}
