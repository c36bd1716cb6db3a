/** The order of the rescue's acts, cut and failing at every one of them. */
import { describe, expect, it } from 'vitest'
import { OsflashError } from '../../../src/errors.ts'
import { type RescueActs, type RescueRun, runRescue } from '../../../src/flash/rescue/machine.ts'
import { type JournalRecord, NEXT, type State } from '../../../src/flash/states.ts'

class PowerCut extends Error {}

type ActName = Exclude<
  keyof RescueActs,
  'hasGuard' | 'wasDecided' | 'wasGranted' | 'trialReason' | 'release' | 'erase'
>

interface Fault {
  readonly at: ActName
  readonly when: 'before' | 'after'
  readonly what: 'cut' | 'error'
  /** How many times; default once. */
  readonly times?: number
}

/** A host in memory: what lasts over a power cut, and what was done to it. */
class Host {
  record: JournalRecord
  guarded = false
  /** The rescue itself put the guard there. */
  decided = false
  /** The trial that was granted last. */
  granted: number | 'unreadable' = 0
  released = 0
  erased: number | 'fails' = 0
  readonly done: string[] = []
  faults: Fault[] = []

  constructor(state: State = 'armed') {
    this.record = {
      format: 'osflash-journal/1',
      sequence: 1,
      state,
      system: 'first-os',
      since: '2026-01-01T00:00:00Z',
      bootId: 'a',
      planDigest: '0'.repeat(64),
      attempts: { flash: 0, trial: 0 },
    }
  }

  async act(at: ActName, work: () => void): Promise<void> {
    this.#strike(at, 'before')
    this.done.push(at)
    work()
    this.#strike(at, 'after')
  }

  #strike(at: ActName, when: 'before' | 'after'): void {
    const index = this.faults.findIndex((fault) => fault.at === at && fault.when === when)
    const fault = this.faults[index]
    if (fault === undefined) return
    const { times = 1 } = fault
    this.faults.splice(index, 1, ...(times > 1 ? [{ ...fault, times: times - 1 }] : []))
    throw fault.what === 'cut'
      ? new PowerCut('the power is gone')
      : new OsflashError('io', `${at} failed`)
  }

  /** The rescue starts: as the machine does it after each power-on. */
  boot(options: Partial<RescueRun> = {}): Promise<'rebooting' | 'held'> {
    const act =
      (at: ActName, work: () => void = () => undefined) =>
      () =>
        this.act(at, work)
    const guardedOnly = (at: ActName) =>
      act(at, () => {
        if (!this.guarded) throw new Error(`${at} without a guard`)
      })
    let dead = false
    const acts: RescueActs = {
      hasGuard: async () => this.guarded,
      wasDecided: async () => this.guarded && this.decided,
      release: async () => {
        this.released += 1
      },
      erase: async () => {
        if (this.erased === 'fails') throw new OsflashError('io', 'erasing carry: no')
        this.erased += 1
      },
      rehearse: act('rehearse'),
      guard: act('guard', () => {
        this.guarded = true
        this.decided = true
      }),
      wipe: guardedOnly('wipe'),
      unpack: guardedOnly('unpack'),
      furnish: guardedOnly('furnish'),
      retarget: guardedOnly('retarget'),
      trial: (attempt) =>
        this.act('trial', () => {
          if (!this.guarded) throw new Error('trial without a guard')
          this.granted = attempt
        }),
      wasGranted: async (attempt) => {
        if (this.granted === 'unreadable') throw new OsflashError('io', 'reading granted')
        return this.granted === attempt
      },
      confirm: guardedOnly('confirm'),
      trialReason: async () => 'no gateway',
    }
    const host = this
    const journal = {
      get current() {
        return host.record
      },
      write: async (change: { state: State; error?: string }) => {
        if (dead) throw new PowerCut('the power is gone')
        const from = host.record.state
        if (from !== change.state && !NEXT[from].includes(change.state)) {
          throw new RangeError(`${from} -> ${change.state}`)
        }
        const { error: _, ...rest } = host.record
        host.record = { ...rest, sequence: rest.sequence + 1, ...change }
        return host.record
      },
    }
    // After a cut nothing more is written: what the machine would do is not seen.
    const cutting = Object.fromEntries(
      Object.entries<(attempt: number) => Promise<unknown>>({
        ...acts,
        guard: () => acts.guard(true),
      }).map(([name, work]) => [
        name,
        async (attempt: number) => {
          if (dead) throw new PowerCut('the power is gone')
          return work(attempt).catch((error: unknown) => {
            dead ||= error instanceof PowerCut
            throw error
          })
        },
      ]),
    ) as unknown as RescueActs
    return runRescue({
      journal,
      acts: cutting,
      confirm: 'auto',
      retry: false,
      emit: () => undefined,
      ...options,
    })
  }
}

const WHOLE = ['rehearse', 'guard', 'wipe', 'unpack', 'furnish', 'retarget', 'trial']
const ACTS: readonly ActName[] = [
  ...(['rehearse', 'guard', 'wipe', 'unpack', 'furnish', 'retarget', 'trial'] as const),
]

describe('the rescue', () => {
  it('goes from armed to the trial, with the guard before anything is destroyed', async () => {
    const host = new Host()
    expect(await host.boot()).toBe('rebooting')
    expect(host.done).toEqual(WHOLE)
    expect(host.record).toMatchObject({ state: 'trial', attempts: { flash: 1, trial: 1 } })
  })

  it('comes up although the first OS did not write that it was armed', async () => {
    const host = new Host('staged')
    await host.boot()
    expect(host.record.state).toBe('trial')
  })

  it('confirms by itself where nobody has to', async () => {
    const host = new Host()
    expect(await host.boot({ confirm: 'none' })).toBe('rebooting')
    expect(host.done.slice(-2)).toEqual(['retarget', 'confirm'])
    expect(host.erased).toBe(1)
    expect(host.record.state).toBe('confirmed')
    // Also where its secrets cannot be erased.
    const other = new Host()
    other.erased = 'fails'
    expect(await other.boot({ confirm: 'none' })).toBe('rebooting')
    expect(other.record.state).toBe('confirmed')
  })

  it.each(ACTS.flatMap((at) => [{ at, when: 'before' } as const, { at, when: 'after' } as const]))(
    'goes on after a power cut $when $at',
    async ({ at, when }) => {
      const host = new Host()
      host.faults = [{ at, when, what: 'cut' }]
      await expect(host.boot()).rejects.toThrow(PowerCut)
      const outcome = await host.boot()
      // Once the trial is granted, a rescue that comes up again holds.
      if (at === 'trial' && when === 'after') {
        expect(outcome).toBe('held')
        expect(host.record).toMatchObject({
          state: 'held',
          error: expect.stringMatching('gateway'),
        })
        expect(await host.boot({ retry: true })).toBe('rebooting')
      }
      expect(host.record.state).toBe('trial')
      expect(host.guarded).toBe(true)
    },
  )

  it('tries a target once more that a cut kept from being started, and then holds', async () => {
    const host = new Host()
    host.faults = [{ at: 'trial', when: 'before', what: 'cut', times: 2 }]
    await expect(host.boot()).rejects.toThrow(PowerCut)
    expect(host.record).toMatchObject({ state: 'trial', attempts: { trial: 1 } })
    await expect(host.boot()).rejects.toThrow(PowerCut)
    expect(host.record).toMatchObject({ state: 'trial', attempts: { trial: 2 } })
    expect(await host.boot()).toBe('held')
    expect(host.done).toEqual(WHOLE.slice(0, -1))
  })

  it('confirms once more where a cut came before it', async () => {
    const host = new Host()
    host.faults = [{ at: 'confirm', when: 'before', what: 'cut' }]
    await expect(host.boot({ confirm: 'none' })).rejects.toThrow(PowerCut)
    expect(await host.boot({ confirm: 'none' })).toBe('rebooting')
    expect(host.record.state).toBe('confirmed')
  })

  it('holds where nobody can say whether the target was started', async () => {
    const host = new Host('trial')
    host.record = { ...host.record, attempts: { flash: 1, trial: 1 } }
    host.granted = 'unreadable'
    expect(await host.boot()).toBe('held')
    expect(host.record).toMatchObject({ state: 'held', error: 'reading granted' })
    expect(host.done).toEqual([])
  })

  it('goes back to the first OS when the gate stays shut; nothing was touched', async () => {
    const host = new Host()
    host.faults = [{ at: 'rehearse', when: 'before', what: 'error' }]
    expect(await host.boot()).toBe('rebooting')
    expect(host.done).toEqual([])
    expect(host.record).toMatchObject({ state: 'aborted', error: 'rehearse failed' })
    // Started once more by whatever boots it, it touches nothing.
    expect(await host.boot()).toBe('held')
    expect(host.done).toEqual([])
  })

  it('takes a guard that it did not put there for no decision', async () => {
    const host = new Host()
    host.guarded = true
    host.faults = [{ at: 'rehearse', when: 'before', what: 'error' }]
    expect(await host.boot()).toBe('rebooting')
    expect(host.done).toEqual([])
    expect(host.record.state).toBe('aborted')
    expect(host.released).toBe(1)
  })

  it('asks no gate once it put the guard in place', async () => {
    const host = new Host('rehearsal')
    host.guarded = true
    host.decided = true
    await host.boot()
    expect(host.done).toEqual(WHOLE.slice(1))
  })

  it.each(['wipe', 'furnish', 'retarget', 'trial'] as const)(
    'holds when %s fails behind the guard, and an operator can try again',
    async (at) => {
      const host = new Host()
      const times = at === 'furnish' ? 3 : 1
      host.faults = [{ at, when: 'before', what: 'error', times }]
      expect(await host.boot()).toBe('held')
      expect(host.record).toMatchObject({ state: 'held', error: `${at} failed` })
      expect(await host.boot()).toBe('held')
      expect(await host.boot({ retry: true })).toBe('rebooting')
      expect(host.record.state).toBe('trial')
    },
  )

  it.each([
    ['wipe', 1],
    ['unpack', 3],
    ['furnish', 3],
    ['retarget', 1],
    ['trial', 1],
  ] as const)('tries once for an operator, then holds: %s goes on failing', async (at, tries) => {
    const host = new Host('held')
    host.guarded = true
    host.faults = [{ at, when: 'before', what: 'error', times: 100 }]
    expect(await host.boot({ retry: true })).toBe('held')
    expect(host.record).toMatchObject({ state: 'held', error: `${at} failed` })
    expect(host.faults[0]?.times).toBe(100 - tries)
  })

  it('tells an operator why the trial failed, and holds before anything is wiped', async () => {
    const host = new Host('trial')
    host.guarded = true
    host.record = { ...host.record, attempts: { flash: 1, trial: 1 } }
    host.granted = 1
    expect(await host.boot({ retry: true })).toBe('held')
    expect(host.record).toMatchObject({ state: 'held', error: 'trying the target: no gateway' })
    expect(host.done).toEqual([])
  })

  it('puts a guard that is gone in place again before it tries again, or holds', async () => {
    const host = new Host('held')
    host.faults = [{ at: 'guard', when: 'before', what: 'error' }]
    expect(await host.boot({ retry: true })).toBe('held')
    expect(host.done).toEqual([])
    expect(host.record.state).toBe('held')
    expect(await host.boot({ retry: true })).toBe('rebooting')
    expect(host.done).toEqual(WHOLE.slice(1))
  })

  it('tries the flashing three times, then holds', async () => {
    const host = new Host()
    host.faults = [{ at: 'unpack', when: 'after', what: 'error', times: 2 }]
    expect(await host.boot()).toBe('rebooting')
    expect(host.record.attempts.flash).toBe(3)
    const other = new Host()
    other.faults = [{ at: 'unpack', when: 'after', what: 'error', times: 9 }]
    expect(await other.boot()).toBe('held')
    expect(other.done.filter((act) => act === 'unpack')).toHaveLength(3)
  })

  it.each(['wipe', 'unpack', 'furnish', 'retarget'] as const)(
    'ends also when the power is cut in every %s',
    async (at) => {
      const host = new Host()
      host.faults = [{ at, when: 'before', what: 'cut', times: 100 }]
      let boots = 0
      for (; boots < 50 && host.record.state !== 'held'; boots++) await host.boot().catch(() => 0)
      expect(host.record).toMatchObject({ state: 'held', error: 'the rescue was cut 10 times' })
      expect(boots).toBeLessThan(13)
      host.faults = []
      expect(await host.boot({ retry: true })).toBe('rebooting')
    },
  )

  it('stays where it is when it is stopped', async () => {
    const stop = new AbortController()
    const host = new Host()
    host.faults = [{ at: 'unpack', when: 'before', what: 'error' }]
    stop.abort()
    expect(await host.boot({ signal: stop.signal })).toBe('held')
    expect(host.record.state).toBe('flashing')
  })

  it('holds without a record', async () => {
    const run = { journal: { current: undefined, write: () => Promise.reject(new Error('no')) } }
    const failure = runRescue({ ...run, confirm: 'auto', retry: false } as unknown as RescueRun)
    await expect(failure).rejects.toThrow('reading the journal: it holds no record')
  })
})
