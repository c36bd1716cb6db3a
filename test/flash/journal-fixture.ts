/** A journal in a scratch folder, and records for it. */
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type Journal, openJournal } from '../../src/flash/journal.ts'
import { STORE } from '../../src/flash/places.ts'
import { type JournalRecord, NEXT, type State } from '../../src/flash/states.ts'
import { makeScratch } from '../../src/system/scratch.ts'

export const DIGEST = 'a'.repeat(64)
export const STATES = Object.keys(NEXT) as State[]

export const record = (changes: Partial<JournalRecord> = {}): JournalRecord => ({
  format: 'osflash-journal/1',
  sequence: 0,
  state: 'staging',
  system: 'first-os',
  since: '2026-01-02T03:04:05.000Z',
  bootId: 'boot-1',
  planDigest: DIGEST,
  attempts: { flash: 0, trial: 0 },
  ...changes,
})

export async function scratchFolder(parent?: string): Promise<string> {
  const scratch = await makeScratch('journal-test', parent)
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  return scratch.path
}

export const first = (state: State) => ({
  state,
  planDigest: DIGEST,
  attempts: { flash: 0, trial: 0 },
  system: 'first-os' as const,
  bootId: 'boot-1',
})

export const reopen = (folder: string): Promise<Journal> =>
  openJournal(folder, { system: 'rescue', bootId: 'boot-2' })

export const slot = (folder: string, n: 0 | 1): string => join(folder, STORE.journal[n])
