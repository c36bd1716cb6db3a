/** This machine, as preflight sees it: what must be true wherever the tests run. */
import { hostname, machine } from 'node:os'
import { describe, expect, it } from 'vitest'
import { findContainer } from '../../../src/flash/host/container.ts'
import { readHost } from '../../../src/flash/host/host.ts'

describe('the host', () => {
  it('is this one', async () => {
    const host = await readHost()
    expect(host.hostname).toBe(hostname())
    expect(host.architecture).toBe(machine())
    expect(host.isRoot).toBe(process.getuid?.() === 0)
    expect(['bios', 'uefi']).toContain(host.firmware)
    expect(host.os).not.toBe('')
    expect(host.mounts.map(({ point }) => point)).toContain('/')
    // Loopback has no hardware.
    expect([...host.networkModules.keys()]).not.toContain('lo')
  })

  it('is the same when asked again', async () => {
    const [a, b] = [await readHost(), await readHost()]
    expect({ ...a, mounts: [] }).toEqual({ ...b, mounts: [] })
  })

  it('says whether it is a container, in a word', async () => {
    const container = await findContainer()
    if (container !== undefined) expect(container).toMatch(/^\S/)
    expect((await readHost()).container).toBe(container)
  })
})
