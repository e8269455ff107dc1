#!/usr/bin/env node
import { setMaxListeners } from 'node:events'
import { homedir } from 'node:os'
import { isAbsolute } from 'node:path'
import process from 'node:process'
import { CertError, isInputError, systemCode, toCertError } from '../errors.js'
import { redact } from '../secret.js'
import { version } from '../version.js'
import { type Command, exitCodes, type Surroundings } from './command.js'
import type { Flags } from './flag.js'

interface Entry {
  readonly summary: string
  load(): Promise<Command<Flags>>
}

/** A command is loaded only when it is called, so that a hook does not pay for what it does not use. */
const commands: Readonly<Record<string, Entry>> = {
  'issue-and-deploy': {
    summary: 'issues a certificate and deploys it',
    load: async () => (await import('./issue-and-deploy.js')).command,
  },
  deploy: {
    summary: 'deploys a certificate that lies in PEM files',
    load: async () => (await import('./deploy.js')).command,
  },
  hook: {
    summary: 'called by certbot, acme.sh, dehydrated, lego and uacme: deploys what they issued',
    load: async () => (await import('./hook.js')).command,
  },
  renew: {
    summary: 'renews what is due, deploys it, and does what sync does; for a timer',
    load: async () => (await import('./renew.js')).command,
  },
  sync: {
    summary: 'tries again what is wanted and not yet there; renew ends in it',
    load: async () => (await import('./sync.js')).command,
  },
  status: {
    summary: 'what is wanted, and what of it is done',
    load: async () => (await import('./status.js')).command,
  },
  history: {
    summary: 'the certificates in the archive, and where each is in use',
    load: async () => (await import('./history.js')).command,
  },
  rollback: {
    summary: 'puts an earlier certificate back everywhere, and keeps it there',
    load: async () => (await import('./rollback.js')).command,
  },
  pull: {
    summary: 'for those who use certificates: fetches the newest, proves it whole, and swaps it in',
    load: async () => (await import('./pull.js')).command,
  },
  https: {
    summary: 'forces HTTPS on buckets and domains, loosens it in an emergency, and puts back what was there',
    load: async () => (await import('./https.js')).command,
  },
  doctor: {
    summary: 'checks all that a deployment depends on, and says what to do about each thing that is wrong',
    load: async () => (await import('./doctor.js')).command,
  },
  notify: {
    summary: 'sends a test message to those who are told when something is wrong',
    load: async () => (await import('./notify.js')).command,
  },
  forget: {
    summary: 'no longer wants a certificate somewhere',
    load: async () => (await import('./forget.js')).command,
  },
  policy: {
    summary: 'prints the least RAM policy for where certificates go',
    load: async () => (await import('./policy.js')).command,
  },
  verify: {
    summary: 'looks at what hosts serve, and explains what is wrong with it',
    load: async () => (await import('./verify.js')).command,
  },
  account: {
    summary: 'the accounts at CAs: shows them, changes the address or the key',
    load: async () => (await import('./account.js')).command,
  },
  revoke: {
    summary: 'has a certificate revoked by the CA that issued it',
    load: async () => (await import('./revoke.js')).command,
  },
  config: {
    summary: 'checks, describes or begins the configuration file',
    load: async () => (await import('./config.js')).command,
  },
}

const help = (): string =>
  [
    'acme-oss <command> [options]',
    '',
    'From the moment a TLS certificate is issued to the moment it is served by Alibaba Cloud.',
    '',
    'Commands:',
    ...Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(18)} ${summary}`),
    '',
    'acme-oss <command> --help shows the options of one. Every option can be given as a variable: --bucket as',
    'ACME_OSS_BUCKET.',
    '',
  ].join('\n')

const run = async (words: readonly string[], surroundings: Surroundings): Promise<number> => {
  const [name = '', ...rest] = words
  if (name === '--version' || name === '-V') {
    surroundings.output.write(`${version}\n`)
    return exitCodes.done
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    surroundings.output.write(help())
    return exitCodes.done
  }
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (entry === undefined) throw await unknownCommand(name)
  const command = await entry.load()
  const own = rest.slice(0, [...rest, '--'].indexOf('--'))
  if (own.includes('--help') || own.includes('-h')) {
    const { commandHelp } = await import('./help.js')
    surroundings.output.write(commandHelp(command))
    return exitCodes.done
  }
  const { parseCommand } = await import('./parse.js')
  const parsed = await parseCommand(command, rest, surroundings.environment)
  return await command.run(parsed.values, surroundings, parsed)
}

const unknownCommand = async (name: string): Promise<CertError> => {
  if (name === '') return new CertError('USAGE', 'no command is given', { hint: 'acme-oss --help lists them' })
  const { nearest } = await import('../nearest.js')
  const near = nearest(name, Object.keys(commands))
  return new CertError('USAGE', `acme-oss does not know the command "${name}"`, {
    hint: near === undefined ? 'acme-oss --help lists what there is' : `did you mean acme-oss ${near}?`,
  })
}

const report = async (thrown: unknown, words: readonly string[], surroundings: Surroundings): Promise<number> => {
  const error = toCertError(thrown)
  if (wantsJson(words, surroundings.environment)) {
    const { errorJson, printJson } = await import('./json.js')
    const result = {
      schema: 'acme-oss/1',
      command: words[0] ?? '',
      ok: false,
      certificate: null,
      stages: [],
      pending: [],
      warnings: [],
      error: errorJson(error),
    }
    surroundings.output.write(`${printJson(result)}\n`)
  } else {
    const hint = error.hint === undefined ? '' : `  what to do: ${error.hint}\n`
    surroundings.errors.write(redact(`error: ${error.message}\n${hint}`))
  }
  const verbose = words.includes('--verbose') || words.includes('-v')
  if (error.code === 'INTERNAL' && verbose && error.stack !== undefined) {
    surroundings.errors.write(redact(`${error.cause instanceof Error ? error.cause.stack : error.stack}\n`))
  }
  return isInputError(error) ? exitCodes.refused : exitCodes.failed
}

/** As the command would have read it, had it come to that. */
const wantsJson = (words: readonly string[], environment: Surroundings['environment']): boolean => {
  const own = words.slice(0, [...words, '--'].indexOf('--'))
  const given = own.findLast((word) => word === '--json' || word.startsWith('--json='))
  return isOn(given === undefined ? environment['ACME_OSS_JSON'] : given.slice('--json='.length) || 'on')
}

const isOn = (value: string | undefined): boolean => /^(1|true|yes|on)$/i.test(value ?? '')

/** The folder may have been removed under our feet. */
const currentFolder = (): string => {
  try {
    return process.cwd()
  } catch {
    return '/'
  }
}

/** Node throws where a user is in no list of users and HOME is not set. */
const homeFolder = (): string | undefined => {
  try {
    const folder = homedir()
    return isAbsolute(folder) ? folder : undefined
  } catch {
    return undefined
  }
}

const words = process.argv.slice(2)
const interruption = new AbortController()
const surroundings: Surroundings = {
  // A copy: each look into the real one is a call into the system, and a fleet takes a million of them.
  environment: { ...process.env },
  input: process.stdin,
  output: process.stdout,
  errors: process.stderr,
  isTerminal: process.stderr.isTTY === true,
  isRoot: process.getuid?.() === 0,
  homeFolder: homeFolder(),
  folder: currentFolder(),
  userId: process.getuid?.(),
  now: () => new Date(),
  signal: interruption.signal,
}
// Every request under way listens to it.
setMaxListeners(0, interruption.signal)
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const interrupt = (): void => {
  interruption.abort()
  // The second one is left to do what it does by itself: end the process at once.
  for (const name of signals) process.off(name, interrupt)
}
for (const name of signals) process.on(name, interrupt)
// A reader that went away (`| head`) is no reason to stop deploying; a result that got lost must not pass for one.
let lost = false
process.stderr.on('error', () => undefined)
process.stdout.on('error', (error) => {
  if (lost || systemCode(error) === 'EPIPE') return
  lost = true
  process.exitCode ||= exitCodes.failed
  process.stderr.write(`error: standard output cannot be written: ${systemCode(error) ?? error.message}\n`)
})
const status = await run(words, surroundings).catch((error: unknown) => report(error, words, surroundings))
process.exitCode = status === exitCodes.done && lost ? exitCodes.failed : status
