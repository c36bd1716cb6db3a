/**
 * Root's line of /etc/shadow (shadow(5)).
 *
 * 1. A hash that is empty, `*`, or begins with `!` is no password.
 * 2. Merging replaces the hash of the line with the same name and leaves everything else, byte by
 *    byte: never a copy of the file.
 *
 * Pure.
 */

const HASH_FIELD = 1

/** The line of `name`, without its newline. */
export function shadowLine(text: string, name: string): string | undefined {
  return text.split('\n').find((line) => line.startsWith(`${name}:`))
}

/** True when a password can be given. */
export function hasPassword(line: string): boolean {
  const hash = hashOf(line)
  return hash !== '' && !/^[!*x]/.test(hash)
}

/** `text` with the hash of `line` in the line of the same name; unchanged where there is none. */
export function mergeHash(text: string, line: string): string {
  const name = line.split(':')[0] ?? ''
  return text
    .split('\n')
    .map((own) => (own.startsWith(`${name}:`) ? withHash(own, hashOf(line)) : own))
    .join('\n')
}

const hashOf = (line: string): string => line.split(':')[HASH_FIELD] ?? ''

function withHash(line: string, hash: string): string {
  return line
    .split(':')
    .map((field, index) => (index === HASH_FIELD ? hash : field))
    .join(':')
}
