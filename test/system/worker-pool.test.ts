/** Worker pools: answers, errors with their code, threads that die, closing during work. */
import { describe, expect, it } from 'vitest'
import { startWorkerPool } from '../../src/system/worker-pool.ts'

const module = new URL('./pool-worker.ts', import.meta.url)
const ADD = 0
const REFUSE = 1
const THROW = 2
const DIE = 3
const SPIN = 4
const WAIT = 5

const start = (workers: number, base = 0) => {
  const pool = startWorkerPool({ workers, module })
  pool.setUp({ base })
  return pool
}

describe('a worker pool', () => {
  it('answers every job, more jobs than workers', async () => {
    await using pool = start(2, 1_000)
    const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => pool.run([ADD, n, 1])))
    expect(answers).toEqual(Array.from({ length: 50 }, (_, n) => [1_000 + n + 1]))
  })

  it('gives the code, the data and the hints of a refusal, and goes on', async () => {
    await using pool = start(1)
    await expect(pool.run([REFUSE, 7])).rejects.toMatchObject({
      code: 'digest',
      message: 'reading block 7: wrong',
      data: { block: 7 },
      hints: ['fetch it again'],
    })
    expect(await pool.run([ADD, 1, 2])).toEqual([3])
  })

  it('says of any other error that it was not expected, with its stack', async () => {
    await using pool = start(1)
    const failure = pool.run([THROW])
    await expect(failure).rejects.toMatchObject({ code: 'unexpected' })
    await expect(failure).rejects.toThrow(/TypeError: odd[\s\S]*pool-worker/)
    expect(await pool.run([ADD, 1, 2])).toEqual([3])
  })

  it('fails every job when a thread dies, those that wait and those that come', async () => {
    await using pool = start(1)
    const jobs = [pool.run([DIE]), pool.run([ADD, 1, 1]), pool.run([ADD, 1, 1])]
    const results = await Promise.allSettled(jobs)
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    await expect(pool.run([ADD, 1, 1])).rejects.toThrow()
  })

  it('lets the jobs of the other threads end when one dies', async () => {
    const gate = new SharedArrayBuffer(4)
    await using pool = startWorkerPool({ workers: 2, module })
    pool.setUp({ base: 0, gate })
    const waiting = pool.run([WAIT, 300])
    let settled = false
    void waiting.finally(() => {
      settled = true
    })
    const dying = pool.run([DIE])
    await expect(dying).rejects.toThrow()
    await expect(pool.run([ADD, 1, 1])).rejects.toThrow()
    // Its memory must not be given to anybody else while it works.
    expect(settled).toBe(false)
    Atomics.store(new Int32Array(gate), 0, 1)
    Atomics.notify(new Int32Array(gate), 0)
    expect(await waiting).toEqual([300])
  })

  it('refuses a job before the setup, and works after it', async () => {
    await using pool = startWorkerPool({ workers: 1, module })
    await expect(pool.run([ADD, 1, 1])).rejects.toThrow('before the setup')
    pool.setUp({ base: 5 })
    expect(await pool.run([ADD, 1, 1])).toEqual([7])
  })

  it('gives each answer to its own job when threads have two', async () => {
    await using pool = start(1)
    const results = await Promise.allSettled([
      pool.run([ADD, 1, 1]),
      pool.run([REFUSE, 7]),
      pool.run([ADD, 2, 2]),
      pool.run([THROW]),
      pool.run([ADD, 3, 3]),
    ])
    const values = results.map((one) => (one.status === 'fulfilled' ? one.value : 'refused'))
    expect(values).toEqual([[2], 'refused', [4], 'refused', [6]])
  })

  it('ends threads that never got a setup', async () => {
    const pool = startWorkerPool({ workers: 3, module })
    await pool.close()
    await expect(pool.run([ADD, 1, 1])).rejects.toMatchObject({ code: 'cancelled' })
  })

  it('fails when its module cannot be loaded', async () => {
    const missing = new URL('./no-such-worker.ts', import.meta.url)
    await using pool = startWorkerPool({ workers: 2, module: missing })
    pool.setUp({})
    await expect(pool.run([ADD, 1, 1])).rejects.toThrow(/no-such-worker/)
  })

  it('can be closed during work, twice; what waits is cancelled', async () => {
    const pool = start(1)
    const jobs = [pool.run([SPIN]), pool.run([ADD, 1, 1])]
    const results = Promise.allSettled(jobs)
    await pool.close()
    await pool.close()
    const reasons = (await results).map((one) => (one.status === 'rejected' ? one.reason : one))
    expect(reasons).toMatchObject([{ code: 'cancelled' }, { code: 'cancelled' }])
    await expect(pool.run([ADD, 1, 1])).rejects.toMatchObject({ code: 'cancelled' })
  })
})
