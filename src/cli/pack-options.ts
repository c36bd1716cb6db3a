/**
 * From the options of a packing verb to those of the image writer.
 *
 * 1. Keys and certificates are read elsewhere, because they need the disk.
 * 2. What was not given stays away, so that the writer's own defaults hold.
 */
import type { PackingOptions } from './shared-options.ts'

/** The options of the image writer that come from the command line as they are. */
export function packOptionsOf(options: PackingOptions) {
  return {
    output: options.output,
    force: options.force ?? false,
    codec: options.codec,
    aead: options.aead,
    ...(options.level === undefined ? {} : { level: options.level }),
    ...(options.workers === undefined ? {} : { workers: options.workers }),
  }
}
