/**
 * What remains at risk: lines that an operator reads before saying yes.
 *
 * 1. Each risk stands beside the fact that brings it; what cannot happen on this host is left out.
 * 2. What the carry does differently from what may be expected comes last.
 *
 * Pure.
 */
import type { FlashPlan } from './plan.ts'

type RiskFacts = Pick<FlashPlan, 'host' | 'go' | 'confirm' | 'carry' | 'watchdog' | 'target'>

export function risksOf(plan: RiskFacts, notes: readonly string[]): string[] {
  const { host, go, confirm, carry, watchdog, target } = plan
  const rules: readonly (readonly [boolean, string])[] = [
    [
      true,
      'from the guard until the target is confirmed the disk starts no system of its own: ' +
        'if the stage fails then, somebody must go there',
    ],
    [
      watchdog === undefined,
      'no hardware watchdog: a system that hangs without a panic stays so until somebody resets it',
    ],
    [
      host.firmware === 'bios',
      'BIOS drives are numbered by the firmware: this disk must stay first in its boot order, ' +
        'and no disk be added or removed before the end',
    ],
    [
      host.firmware === 'uefi',
      'firmware may drop boot entries: where that is seen in time the first OS comes back',
    ],
    [go.how === 'auto', 'nobody is asked again before the disk is wiped'],
    [
      carry.gateways.length === 0,
      'no gateway answers now, so the rehearsal can only check addresses',
    ],
    [
      confirm.how !== 'none' && target.network !== 'networkd',
      'a target without systemd cannot be tried: that shows only once it is written, ' +
        'and the rescue holds then',
    ],
    [
      confirm.how === 'none',
      'the target is taken without a trial: one that does not answer stays so, ' +
        'and the rescue does not come back by itself',
    ],
  ]
  return [...rules.flatMap(([applies, text]) => (applies ? [text] : [])), ...notes]
}
