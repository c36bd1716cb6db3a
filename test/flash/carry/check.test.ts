import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkCarry, reachable } from '../../../src/flash/carry/check.ts'
import { withChrootNeeds } from '../../../src/flash/carry/chroot-needs.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { makeHostRoot, staticCarry } from './host-root.ts'
import { asRoot } from './network-namespace.ts'

// TEST-NET-3 (RFC 5737): no machine has it.
const nowhere = staticCarry({ reach: { gateways: [], addresses: ['203.0.113.77'] } })

test('the gate says what is missing when the time is over', async () => {
  await expect(reachable({ carry: nowhere, withinSeconds: 0 })).rejects.toMatchObject({
    code: 'network',
    message: 'reaching what the host reached: 203.0.113.77 is on no interface',
  })
})

test('the gate ends at once when the run is cancelled', async () => {
  const stop = new AbortController()
  const waiting = reachable({ carry: nowhere, withinSeconds: 600, signal: stop.signal })
  stop.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
})

test('a system under another name is not the host', async () => {
  await using root = await makeHostRoot()
  await expect(checkCarry({ root: root.path, carry: staticCarry() })).rejects.toThrow(
    'checking the new system: its hostname is # name',
  )
})

describe.skipIf(!asRoot)('what sshd needs in a root (as root)', () => {
  test('is there meanwhile, and gone after a failure too', async () => {
    await using scratch = await makeScratch('needs')
    const root = scratch.path
    await mkdir(join(root, 'dev'))
    await mkdir(join(root, 'run'))
    const work = withChrootNeeds(root, async () => {
      expect(await readdir(join(root, 'dev'))).toEqual(['null', 'urandom'])
      expect(await readdir(join(root, 'run'))).toEqual(['sshd'])
      throw new Error('sshd says no')
    })
    await expect(work).rejects.toThrow('sshd says no')
    expect(await readdir(join(root, 'dev'))).toEqual([])
    expect(await readdir(join(root, 'run'))).toEqual([])
  })

  test('what was there before stays', async () => {
    await using scratch = await makeScratch('needs')
    const root = scratch.path
    await mkdir(join(root, 'run/sshd'), { recursive: true })
    await mkdir(join(root, 'dev/null'), { recursive: true })
    expect(await withChrootNeeds(root, async () => 'done')).toBe('done')
    expect(await readdir(join(root, 'run'))).toEqual(['sshd'])
    expect(await readdir(join(root, 'dev'))).toEqual(['null'])
  })
})
