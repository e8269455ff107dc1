import { withDeadline } from '../../patience.js'
import { bucketsOf, doorOf } from '../bucket-place.js'
import { type Check, failed, type Outcome, ok, unknown, warning } from '../check.js'
import { edgesOf, type ReachContext, type Situation, targetsOf } from '../situation.js'

export const clockChecks = (situation: Situation): readonly Check[] => [
  {
    id: 'clock',
    about: 'clock',
    what: 'the clock of this machine',
    reaches: true,
    run: async (signal) => {
      for (const clock of clocksOf(situation)) {
        const skew = await skewAgainst(clock, situation.context, signal)
        if (skew !== undefined) return clockOutcome(skew, clock.host)
      }
      return unknown('the clock of this machine cannot be compared: nothing that tells the time answers')
    },
  },
]

interface Clock {
  readonly origin: URL
  readonly host: string
}

/** Whoever is to believe our signatures, the most important first. */
const clocksOf = (situation: Situation): Clock[] => {
  const products = (['cdn', 'dcdn'] as const).filter((product) =>
    targetsOf(situation).some(({ kind }) => kind === product),
  )
  const urls = [...products.map((product) => edgesOf(situation, product).endpoint), situation.caller.url]
  return [...bucketsOf(situation).map(doorOf), ...urls.map((origin) => ({ origin, host: origin.host }))]
}

// Of several that may not answer, in ms.
const patience = 3000

/** By how much we are ahead, in ms; undefined where there was no answer. Nobody is told who asks. */
const skewAgainst = async (
  { origin, host }: Clock,
  { connections, now, timeout }: ReachContext,
  signal: AbortSignal,
): Promise<number | undefined> => {
  try {
    const before = now().getTime()
    const { headers } = await withDeadline(Math.min(patience, timeout), signal, (limited) =>
      connections.request({ method: 'GET', url: `${origin.origin}/`, headers: { host }, signal: limited }),
    )
    const date = Date.parse(headers.date ?? '')
    return Number.isNaN(date) ? undefined : (before + now().getTime()) / 2 - date
  } catch (error) {
    if (signal.aborted) throw error
    return undefined
  }
}

const second = 1000
const most = 60 * second
/** What OSS and the APIs still take. */
const longest = 900 * second

/** @param skew in ms: by how much we are ahead */
export const clockOutcome = (skew: number, host: string): Outcome => {
  const off = Math.abs(skew)
  if (off <= most)
    return ok(`the clock of this machine is right to ${Math.max(1, Math.round(off / second))} s (asked: ${host})`)
  const seconds = Math.round(off / second)
  const amount = `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const sentence = `the clock of this machine is ${amount} ${skew > 0 ? 'ahead of' : 'behind'} that of ${host}`
  const hint = 'set it: timedatectl set-ntp true'
  return off > longest
    ? failed(`${sentence}: beyond 15 minutes every signature is refused`, hint)
    : warning(sentence, `${hint} (beyond 15 minutes every signature is refused)`)
}
