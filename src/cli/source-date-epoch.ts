/**
 * The time that an image bears (reproducible-builds.org, SOURCE_DATE_EPOCH).
 *
 * 1. Seconds since 1970 from the environment, when set.
 * 2. Otherwise now: two builds then differ.
 */
import { OsflashError } from '../errors.ts'

/** @throws OsflashError `usage` when the variable is set and is no number of seconds */
export function sourceDateEpoch(env: Readonly<Record<string, string | undefined>>): number {
  const text = env.SOURCE_DATE_EPOCH
  if (text === undefined || text === '') return Math.floor(Date.now() / 1000)
  if (/^\d{1,11}$/.test(text)) return Number(text)
  throw new OsflashError('usage', `SOURCE_DATE_EPOCH is "${text}": not a number of seconds`, {
    hints: ['SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)'],
  })
}
