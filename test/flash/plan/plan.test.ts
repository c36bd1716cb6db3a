/** What a plan gives: its bytes without tokens, and UUIDs by which an interrupted run is found. */
import { describe, expect, it } from 'vitest'
import { flashPlanSchema, planBytes, uuidFrom } from '../../../src/flash/plan/plan.ts'
import { flashPlan } from '../flash-plan.ts'

const digest = 'a'.repeat(64)

describe('uuidFrom', () => {
  it('is a UUID of version 8 and of the usual variant', () => {
    const form = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    expect(uuidFrom(digest, 'store')).toMatch(form)
  })

  it('differs by plan and by what it names', () => {
    const names = [uuidFrom(digest, 'store'), uuidFrom(digest, 'partition')]
    const others = [uuidFrom('b'.repeat(64), 'store'), uuidFrom(digest, 'store')]
    expect(new Set([...names, ...others]).size).toBe(3)
  })
})

describe('planBytes', () => {
  const bytes = (notify: string) => planBytes(flashPlan({ notify }))

  it('names the host of --notify alone: the rest may be a token', () => {
    const text = bytes('https://me:pass@hooks.example:8443/T0K/en?key=s3cret').toString()
    expect(JSON.parse(text).notify).toBe('https://hooks.example:8443/…')
    for (const token of ['T0K', 's3cret', 'pass']) expect(text).not.toContain(token)
  })

  it('is the same whatever the token, and of what it was read from', () => {
    const first = bytes('https://hooks.example/a')
    expect(bytes('https://hooks.example/b?c')).toEqual(first)
    expect(bytes('https://other.example/a')).not.toEqual(first)
    const { notify } = flashPlanSchema.parse(JSON.parse(first.toString()))
    expect(bytes(notify ?? '')).toEqual(first)
  })

  it('says nothing of it where nobody is told', () => {
    expect(planBytes(flashPlan()).toString()).not.toContain('notify')
  })
})
