/**
 * Levels that a codec takes, and the one used when none is asked for.
 *
 * 1. A file of its own, so that the command line can name them without loading a codec.
 * 2. xz has one: its package takes no other.
 */

export const CODEC_LEVELS = {
  zstd: { min: -7, max: 22, default: 3 },
  xz: { min: 6, max: 6, default: 6 },
} as const
