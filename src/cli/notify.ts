import { hostname } from 'node:os'
import { CertError, toCertError } from '../errors.js'
import { HttpConnections } from '../http-connections.js'
import type { Message } from '../monitor/alert-message.js'
import { receivers } from '../monitor/receivers/index.js'
import { ping, sendAlert } from '../monitor/send-alert.js'
import { type Addressee, addresseeOf, alertSettings, type PingPlace, pingPlaceOf } from './alert-settings.js'
import { defineCommand, exitCodes, type Surroundings } from './command.js'
import { commonFlags } from './common-flags.js'
import { toggle } from './flag.js'
import { type ErrorJson, errorJson, printJson } from './json.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig } from './wanted-targets.js'

interface Outcome {
  readonly host: string | null
  readonly status: 'sent' | 'failed' | 'planned'
  readonly ms: number | null
  readonly error: ErrorJson | null
}

interface ReceiverOutcome extends Outcome {
  readonly kind: string
  /** What would be sent. */
  readonly body?: unknown
}

export const command = defineCommand({
  name: 'notify',
  summary:
    'test: sends a message to each of those who are told when something is wrong, and asks for the URL that hears when all is well. Who that is stands below alerts: in the configuration. Exit status 1 where one of them could not be told.',
  flags: { 'dry-run': toggle('print what would be sent, and send nothing'), ...commonFlags },
  words: { usage: 'test', least: 1, most: 1 },
  examples: [
    ['acme-oss notify test', 'after every change below alerts:'],
    ['acme-oss notify test --dry-run', 'what each of them would be sent'],
  ],
  run: async (values, surroundings, { words: [action = ''] }) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    if (action !== 'test') {
      throw new CertError('USAGE', `acme-oss notify does not know "${action}"`, { hint: 'acme-oss notify test' })
    }
    const config = await openConfig(values, surroundings, true)
    const settings = alertSettings(config?.alerts, surroundings.environment)
    if (settings === undefined || (settings.to.length === 0 && settings.ping === undefined)) throw nobody(config?.path)
    const connections = new HttpConnections()
    try {
      const addressees = await Promise.all(settings.to.map(addresseeOf))
      const work = { connections, surroundings, dryRun: values['dry-run'] }
      const place = settings.ping && (await pingPlaceOf(settings.ping))
      const [tested, pinged] = await Promise.all([
        Promise.all(addressees.map((one) => testOf(one, work))),
        place && pingOf(place, work),
      ])
      const ok = [...tested, ...(pinged ? [pinged] : [])].every(({ status }) => status !== 'failed')
      if (values.json) {
        const result = { ok, action, receivers: tested, ping: pinged ?? null, warnings: [], error: null }
        terminal.result(printJson({ schema: 'acme-oss/1', command: 'notify', ...result }))
      } else {
        for (const one of tested) show(terminal, one.kind, one)
        if (pinged !== undefined) show(terminal, 'ping', pinged)
      }
      return ok ? exitCodes.done : exitCodes.failed
    } finally {
      connections.close()
    }
  },
})

const nobody = (path = '/etc/acme-oss/acme-oss.yaml'): CertError =>
  new CertError('CONFIG_INVALID', 'nobody is to be told when something is wrong', {
    hint: `write into ${path}: alerts: { to: [{ webhook: { url-file: /etc/acme-oss/alert-url } }] }, with one of webhook, dingtalk, feishu, wecom, slack; docs/alerts.md shows each`,
  })

interface Work {
  readonly connections: HttpConnections
  readonly surroundings: Surroundings
  readonly dryRun: boolean
}

const testOf = async (
  { kind, host, address, called }: Addressee,
  { connections, surroundings, dryRun }: Work,
): Promise<ReceiverOutcome> => {
  const { now, signal } = surroundings
  const message: Message = { firing: [], recovered: [], host: hostname(), at: now(), isTest: true }
  if (dryRun && !(address instanceof CertError)) {
    // Without the signature that it will have.
    const { body } = receivers[kind].request(message, { ...address, secret: undefined }, now())
    return { kind, host: host ?? null, status: 'planned', ms: null, error: null, body: JSON.parse(body) as unknown }
  }
  const outcome = await tried(host, async () => {
    if (address instanceof CertError) throw address
    await sendAlert(receivers[kind], message, address, called, { connections, now, signal })
  })
  return { kind, ...outcome }
}

const pingOf = async ({ host, url }: PingPlace, { connections, surroundings, dryRun }: Work): Promise<Outcome> => {
  if (dryRun && !(url instanceof CertError)) return { host: host ?? null, status: 'planned', ms: null, error: null }
  return await tried(host, async () => {
    if (url instanceof CertError) throw url
    await ping(url, `ping at ${host}`, { connections, now: surroundings.now, signal: surroundings.signal })
  })
}

const tried = async (host: string | undefined, work: () => Promise<void>): Promise<Outcome> => {
  const begun = performance.now()
  const outcome = (status: 'sent' | 'failed', error: ErrorJson | null): Outcome => ({
    host: host ?? null,
    status,
    ms: Math.round(performance.now() - begun),
    error,
  })
  try {
    await work()
    return outcome('sent', null)
  } catch (thrown) {
    const error = toCertError(thrown)
    if (error.code === 'INTERRUPTED') throw error
    return outcome('failed', errorJson(error))
  }
}

const show = (terminal: Terminal, kind: string, { host, status, ms, error, ...more }: Outcome): void => {
  const name = `${kind}${host === null ? '' : ` at ${host}`}`
  if (error !== null) terminal.failure(error.message, error.hint ?? undefined)
  else if (status === 'sent') terminal.result(`${name}: sent (${ms} ms)`)
  else terminal.result(`${name}: would be sent${'body' in more ? ` ${JSON.stringify(more.body)}` : ' a request'}`)
}
