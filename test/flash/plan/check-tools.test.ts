/** Programs that staging needs are missed before anything is staged. */
import { describe, expect, it } from 'vitest'
import { checkTools } from '../../../src/flash/plan/check-tools.ts'
import { run } from '../../../src/system/run.ts'

describe('programs of the host', () => {
  it('are taken when they are there, whatever they answer', async () => {
    await expect(checkTools([['true'], ['false'], ['dd', '--version']])).resolves.toBeUndefined()
  })

  it('are refused in one line, all that are missing, with what to install', async () => {
    const tools = [['no-such-partx'], ['true'], ['no-such-mount', '--version']] as const
    await expect(checkTools(tools)).rejects.toMatchObject({
      code: 'refused',
      message: 'checking this host: it has no no-such-partx, no no-such-mount, needed for staging',
      hints: ['apt-get install no-such-partx', 'apt-get install no-such-mount'],
    })
  })

  it('stops when it is cancelled', async () => {
    await expect(checkTools([['true']], AbortSignal.abort())).rejects.toMatchObject({
      code: 'cancelled',
    })
  })

  it('are those of this machine, as far as it has them', async () => {
    const has = async (name: string) =>
      (await run(['which', name], { statuses: [0, 1] })).status === 0
    const error: unknown = await checkTools().catch((caught: unknown) => caught)
    const missing = /it has no (.*), needed/.exec(String(error))?.[1]?.split(', no ') ?? []
    for (const name of missing) expect(await has(name), name).toBe(false)
    if (missing.length === 0) expect(await has('mkfs.ext4')).toBe(true)
  })
})
