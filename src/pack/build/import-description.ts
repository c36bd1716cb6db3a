/**
 * What the caller says about a thing that is imported.
 *
 * 1. A disk or a tree does not say its name, its system, or how new it is.
 * 2. The firmware can be guessed from a disk; the caller's word counts more.
 */
import type { Manifest, OperatingSystem } from '../../format/manifest.ts'

/** What an imported thing cannot say about itself. */
export interface ImportDescription {
  readonly name: string
  readonly sequence: number
  readonly expires?: string
  readonly os: OperatingSystem
  readonly architecture: Manifest['architecture']
  /** Default: what the boot code and the partition types look like. */
  readonly firmware?: Manifest['firmware']
}
