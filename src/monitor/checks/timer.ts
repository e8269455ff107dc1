import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type LastRun, readLastRun } from '../../state/last-run.js'
import { StateFolder } from '../../state/state-folder.js'
import { type Check, failed, type Outcome, ok, unknown, warning } from '../check.js'
import { parseEnvironmentFile } from '../environment-file.js'
import type { Situation } from '../situation.js'
import { type Timer, timerOf, timerUnit } from '../timer.js'

const about = 'timer'

export const timerChecks = (situation: Situation): readonly Check[] => {
  const { stateRoot, context, timer } = situation
  return [
    {
      id: 'timer',
      about,
      what: 'what calls acme-oss renew',
      run: async (signal) => timerOutcome(await timerOf(situation, signal)),
    },
    ...(typeof stateRoot !== 'string'
      ? []
      : [
          {
            id: 'last-run',
            about: about as typeof about,
            what: 'when acme-oss renew last ran',
            run: async (signal: AbortSignal) => {
              const [found, last] = await Promise.all([
                timerOf(situation, signal),
                readLastRun(StateFolder.at(stateRoot)),
              ])
              return lastRunOutcome(last, found, context.now())
            },
          },
          {
            id: 'timer-state',
            about: about as typeof about,
            what: 'whether the timer looks at this state folder',
            run: async (signal: AbortSignal) => {
              const found = await timerOf(situation, signal)
              const text = await readFile(timer.environment, 'utf8').catch(() => '')
              return stateOutcome(found, parseEnvironmentFile(text)['ACME_OSS_STATE_DIR'], stateRoot)
            },
          },
        ]),
  ]
}

export const timerOutcome = (timer: Timer): Outcome => {
  if (timer.kind === 'cron') return ok(`acme-oss renew is called by ${timer.where}`)
  if (timer.kind === 'none') {
    return warning(
      'nothing calls acme-oss renew: neither a systemd timer nor cron',
      './install.sh sets a timer up (as root); elsewhere, have acme-oss renew --quiet called every ten minutes',
    )
  }
  if (!timer.isEnabled) {
    return failed(`${timerUnit} is installed and not enabled`, `systemctl enable --now ${timerUnit}`)
  }
  return timer.isActive
    ? ok(`${timerUnit} is enabled, and waits for its next run`)
    : failed(`${timerUnit} is enabled, and was not started`, `systemctl start ${timerUnit}`)
}

const hour = 3_600_000

export const lastRunOutcome = (last: LastRun | undefined, timer: Timer, now: Date): Outcome => {
  const hint =
    timer.kind === 'systemd'
      ? 'journalctl -u acme-oss-renew.service says why; systemctl start acme-oss-renew.service runs it now'
      : 'run acme-oss renew by hand with what the timer has: /usr/local/lib/acme-oss/hooks/with-environment acme-oss renew'
  if (last === undefined) {
    const sentence = 'no run of acme-oss renew over all certificates is on record here'
    return timer.kind === 'none' ? unknown(sentence) : warning(sentence, hint)
  }
  const ago = now.getTime() - last.at.getTime()
  const sentence = `acme-oss ${last.command} last ran through ${agoOf(ago)} ago`
  if (ago > hour) return timer.kind === 'none' ? warning(sentence, hint) : failed(sentence, hint)
  return last.status === 0
    ? ok(`${sentence}, and all was well`)
    : warning(`${sentence}, and something is left to do (exit status ${last.status})`, 'acme-oss status says what')
}

const agoOf = (ms: number): string => {
  const minutes = Math.max(0, Math.round(ms / 60_000))
  if (minutes < 120) return `${minutes} min`
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`
}

// Where install.sh has its timer look, unless the file of variables says otherwise.
const usual = '/var/lib/acme-oss'

/** What a user keeps is not looked at by the timer of root. */
export const stateOutcome = (timer: Timer, given: string | undefined, stateRoot: string): Outcome => {
  const isOfRoot = timer.kind === 'systemd' || (timer.kind === 'cron' && timer.where.startsWith('/'))
  if (!isOfRoot) return unknown('there is no timer of root that would have to look at this state folder')
  const theirs = resolve(given ?? usual)
  return theirs === resolve(stateRoot)
    ? ok(`the timer looks at ${stateRoot}`)
    : warning(
        `the timer runs as root and looks at ${theirs}, not at ${stateRoot}`,
        "what is kept here is renewed only if this user's own crontab calls acme-oss renew --quiet; or work as root",
      )
}
