import { httpsRecords } from '../state/https-record.js'
import type { StateFolder } from '../state/state-folder.js'
import { type Alert, stageOf } from './alerts.js'
import { concernsOf, httpsConcerns, newestOf } from './concerns.js'
import { type NameFacts, readAllFacts } from './name-facts.js'

/** All that a person should know of, by what is on record: nobody is asked. @throws CertError STATE_UNUSABLE */
export const currentAlerts = async (state: StateFolder, expiryDays: number, now: Date): Promise<readonly Alert[]> => {
  const alerts: Alert[] = [...httpsConcerns(await httpsRecords(state))]
  for await (const facts of readAllFacts(state)) alerts.push(...alertsOf(facts, expiryDays, now))
  return alerts
}

const alertsOf = (facts: NameFacts, expiryDays: number, now: Date): readonly Alert[] =>
  concernsOf(facts, { expiryDays }, now).map((one) => {
    const ends = one.kind === 'expiring' ? newestOf(facts)?.notAfter : undefined
    const stage = ends && stageOf(ends.getTime() - now.getTime())
    return stage === undefined ? one : { ...one, stage }
  })
