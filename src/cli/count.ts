/**
 * Counts in sentences.
 *
 * 1. One is singular, all else plural: `1 frame`, `0 frames`, `4 frames`.
 * 2. Only nouns whose plural ends in s.
 */

/** `counted(1, 'frame')` is `1 frame`. */
export const counted = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? '' : 's'}`
