/**
 * The plan of a bench, a value: which entries run, in which order, and which cannot.
 *
 * 1. Rounds go through all entries in turn (A B A B), first with few processors, then with more,
 *    so that a drift of the machine meets all.
 * 2. An entry whose programs are missing is left out with the names of what is missing.
 */
import { OsflashError } from '../src/errors.ts'
import type { Entry } from './entry.ts'

export interface PlannedRun {
  /** From 1. */
  readonly round: number
  /** Processors for this run. */
  readonly cores: number
  readonly entry: Entry
}

/** An entry that does not run, and why. */
export interface Skipped {
  readonly name: string
  readonly why: string
}

export interface BenchPlan {
  readonly entries: readonly Entry[]
  readonly skipped: readonly Skipped[]
}

export interface PlanOptions {
  readonly entries: readonly Entry[]
  /** Names of entries, or of groups; empty: all. */
  readonly only: readonly string[]
  /** Without `only`: leave out what is not a main entry. */
  readonly mainOnly?: boolean
  readonly programs: ReadonlySet<string>
}

/** @throws OsflashError `usage` when a name is no entry's and no group's */
export function planBench({ entries, only, mainOnly, programs }: PlanOptions): BenchPlan {
  const known = new Set(entries.flatMap(({ name, group }) => [name, group]))
  const unknown = only.filter((name) => !known.has(name))
  if (unknown.length > 0) {
    throw new OsflashError('usage', `reading --only: no entry ${unknown.join(', ')}`, {
      hints: [`the entries are ${entries.map(({ name }) => name).join(', ')}`],
    })
  }
  const byDefault = (entry: Entry): boolean => only.length === 0 && (!mainOnly || !!entry.main)
  const wanted = entries.filter(
    (entry) => byDefault(entry) || only.includes(entry.name) || only.includes(entry.group),
  )
  const missingOf = (entry: Entry) => entry.needs.filter((program) => !programs.has(program))
  return {
    entries: wanted.filter((entry) => missingOf(entry).length === 0),
    skipped: wanted
      .filter((entry) => missingOf(entry).length > 0)
      .map((entry) => ({ name: entry.name, why: `no ${missingOf(entry).join(', ')}` })),
  }
}

export interface Passes {
  /** At least 1. */
  readonly rounds: number
  /** Ascending. */
  readonly cores: readonly number[]
}

/** The runs in order. */
export function runsOf(entries: readonly Entry[], { rounds, cores }: Passes) {
  const widest = cores.at(-1)
  return Array.from({ length: rounds }, (_, i) => i + 1).flatMap((round) =>
    cores.flatMap((count): PlannedRun[] =>
      entries
        .filter((entry) => !(entry.once && round > 1) && !(entry.widest && count !== widest))
        .map((entry) => ({ round, cores: count, entry })),
    ),
  )
}
