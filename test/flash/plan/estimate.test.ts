/** Times and risks: the same for the same facts, and nothing that does not apply. */
import { describe, expect, it } from 'vitest'
import { estimate } from '../../../src/flash/plan/estimate.ts'
import { risksOf } from '../../../src/flash/plan/risks.ts'
import { GIB, MIB } from '../../../src/units.ts'
import { flashPlan } from '../flash-plan.ts'

const image = { packedBytes: 120 * MIB, dataBytes: GIB, zeroBytes: 0, isRemote: false }

describe('the estimate', () => {
  it('is the away time plus what is done before, in whole seconds', () => {
    const { steps, awaySeconds } = estimate({ rescue: image, target: image })
    expect(steps.every(({ seconds }) => Number.isInteger(seconds) && seconds > 0)).toBe(true)
    const from = steps.findIndex(({ what }) => what.startsWith('reboot into the rescue'))
    const away = steps.slice(from).reduce((sum, { seconds }) => sum + seconds, 0)
    expect(awaySeconds).toBe(away)
  })

  it('grows with the data of the target, and with a network only before the host is away', () => {
    const plain = estimate({ rescue: image, target: image })
    const larger = estimate({ rescue: image, target: { ...image, dataBytes: 2 * GIB } })
    // A GiB more: unpacked twice at 100 MiB/s, read back at 200 MiB/s.
    expect(larger.awaySeconds - plain.awaySeconds).toBe(25)
    const remote = estimate({ rescue: image, target: { ...image, isRemote: true } })
    expect(remote.awaySeconds).toBe(plain.awaySeconds)
    expect(remote.steps[1]?.seconds).toBeGreaterThan(plain.steps[1]?.seconds ?? 0)
  })
})

describe('the risks', () => {
  const { host, go, confirm, target } = flashPlan()
  const carry = { ...flashPlan().carry, gateways: ['192.0.2.1'] }
  const facts = { host, go, confirm, carry, target }
  const text = (changes: object, notes: string[] = []) =>
    risksOf({ ...facts, ...changes }, notes).join('\n')

  it('name what applies', () => {
    expect(text({})).toContain('no hardware watchdog')
    expect(text({})).toContain('nobody is asked again')
    expect(text({})).toContain('BIOS drives')
    expect(text({})).toContain('this disk must stay first in its boot order')
    expect(text({ confirm: { how: 'none', withinSeconds: 1 } })).toContain('without a trial')
    expect(text({ target: { ...target, network: 'ifupdown' } })).toContain('without systemd')
    expect(text({ carry: { ...carry, gateways: [] } })).toContain('no gateway answers now')
    expect(text({}, ['a note of the carry']).endsWith('a note of the carry')).toBe(true)
  })

  it('leave out what does not', () => {
    const careful = text({
      watchdog: 'iTCO_wdt',
      go: { how: 'ssh', withinSeconds: 900 },
      host: { ...host, firmware: 'uefi' },
    })
    for (const words of [
      'systemd',
      'watchdog',
      'nobody is asked',
      'BIOS',
      'trial:',
      'no gateway',
    ]) {
      expect(careful).not.toContain(words)
    }
    expect(careful).toContain('firmware may drop boot entries')
  })
})
