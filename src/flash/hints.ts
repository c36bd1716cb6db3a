/**
 * Hints that several places give, each a line to be typed.
 *
 * Upper-case words stand for what the operator has: `IMAGE`, `CERT`, `KEY`.
 */

/** The way out of a rescue that holds, when what it stores is no good. */
export const RESUME_WITH = 'osflash resume --target IMAGE --trust CERT --identity KEY'
