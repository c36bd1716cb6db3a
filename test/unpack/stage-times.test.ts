/** Stage times: a row for each thread, sums over all, and nothing lost between two writers. */
import { describe, expect, it } from 'vitest'
import {
  makeStageTable,
  stageSeconds,
  THREAD_STAGES,
  takeStageRow,
} from '../../src/unpack/stage-times.ts'

describe('stage times', () => {
  it('are sums over the rows of all threads, by stage', () => {
    const table = makeStageTable(2)
    const [one, other] = [takeStageRow(table), takeStageRow(table)]
    const nowMs = performance.now()
    one('open', nowMs - 1_000)
    one('open', nowMs - 500)
    other('open', nowMs - 250)
    other('compare', nowMs - 4_000)
    expect(stageSeconds(table, 'open')).toBeGreaterThanOrEqual(1.75)
    expect(stageSeconds(table, 'compare')).toBeGreaterThanOrEqual(4)
    expect(stageSeconds(table, 'digest')).toBe(0)
    expect(stageSeconds(table, 'decompress')).toBe(0)
  })

  it('each stage has a column of its own', () => {
    for (const stage of THREAD_STAGES) {
      const table = makeStageTable(1)
      takeStageRow(table)(stage, performance.now() - 1_000)
      const held = THREAD_STAGES.filter((other) => stageSeconds(table, other) > 0)
      expect(held).toEqual([stage])
    }
  })

  it('gives back the time at which a stage ended, where the next begins', () => {
    const clock = takeStageRow(makeStageTable(1))
    const startMs = performance.now()
    expect(clock('digest', startMs)).toBeGreaterThanOrEqual(startMs)
  })

  it('refuses more threads than it has rows', () => {
    const table = makeStageTable(1)
    takeStageRow(table)
    expect(() => takeStageRow(table)).toThrow(RangeError)
  })
})
