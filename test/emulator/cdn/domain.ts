import type { KeyPair, PemPair } from '../key-pair.js'
import { Timeline } from '../timeline.js'
import { type EdgeFunction, type GivenFunctions, inForce } from './functions.js'

export type DomainStatus =
  | 'checking'
  | 'check_failed'
  | 'configure_failed'
  | 'configuring'
  | 'deleting'
  | 'offline'
  | 'online'
  | 'stopping'

/** A certificate as CDN and DCDN know it. */
export interface DomainCertificate extends KeyPair {
  readonly certName: string
  readonly certType: 'cas' | 'upload'
  /** A number, as text. */
  readonly certId: string
  readonly certRegion: string
  readonly updated: Date
}

export interface DomainOptions {
  /** `online` unless told. */
  readonly status?: DomainStatus | undefined
  /** On where there is a certificate, unless told. */
  readonly https?: boolean | undefined
  readonly certificate?: (PemPair & Partial<Pick<DomainCertificate, 'certName' | 'certType' | 'certId'>>) | undefined
  /** The bucket behind it. */
  readonly origin?: string | undefined
  /** The feature that lets the product read a private bucket. */
  readonly privateOrigin?: boolean | undefined
  /** Whoever comes by plain HTTP is sent to HTTPS at this port. */
  readonly forcedRedirect?: number | undefined
  /** What was set by hand before. */
  readonly functions?: GivenFunctions | undefined
  /** What DescribeDomainCname says: 0 (unless told) where DNS leads to the product, 1 where it does not, -1 for a timeout. */
  readonly cnameStatus?: -1 | 0 | 1 | undefined
}

/** What a domain shows to the world. */
interface Hosted {
  readonly https: boolean
  readonly certificate: DomainCertificate | undefined
}

/** An accelerated domain of CDN or DCDN. What can be set may be set while the emulator runs, as an operator would. */
export class Domain {
  /** A wildcard one is spelled `.example.com`. */
  readonly name: string
  readonly id: number
  readonly created: Date
  modified: Date
  origin: string | undefined
  privateOrigin: boolean
  forcedRedirect: number | undefined
  cnameStatus: -1 | 0 | 1
  functions: readonly EdgeFunction[] = []
  readonly #hosted: Timeline<Hosted>
  readonly #now: () => Date
  #status: DomainStatus
  #configuringUntil = 0

  constructor(name: string, id: number, options: DomainOptions, hosted: Hosted, now: () => Date) {
    this.name = name
    this.id = id
    this.#now = now
    this.created = now()
    this.modified = this.created
    this.origin = options.origin
    this.privateOrigin = options.privateOrigin ?? false
    this.forcedRedirect = options.forcedRedirect
    this.cnameStatus = options.cnameStatus ?? 0
    this.#status = options.status ?? 'online'
    this.#hosted = new Timeline(hosted)
  }

  get status(): DomainStatus {
    return this.#now().getTime() < this.#configuringUntil ? 'configuring' : this.#status
  }

  set status(status: DomainStatus) {
    this.#status = status
    this.#configuringUntil = 0
  }

  get https(): boolean {
    return this.#hosted.current.https
  }

  get certificate(): DomainCertificate | undefined {
    return this.#hosted.current.certificate
  }

  /** The arguments of a function; none where it is not there, or under a rule alone. */
  inForce(name: string): Readonly<Record<string, string>> {
    return inForce(this.functions, name)
  }

  /** What an edge shows that learns of changes late. */
  shownAt(time: number): DomainCertificate | undefined {
    const { https, certificate } = this.#hosted.at(time)
    return https ? certificate : undefined
  }

  /** `undefined` switches HTTPS off. */
  host(certificate: DomainCertificate | undefined, configuringMs: number): void {
    this.#hosted.change({ https: certificate !== undefined, certificate })
    this.#changed(configuringMs)
  }

  configure(functions: readonly EdgeFunction[], configuringMs: number): void {
    this.functions = functions
    this.#changed(configuringMs)
  }

  #changed(configuringMs: number): void {
    this.modified = this.#now()
    this.#configuringUntil = this.modified.getTime() + configuringMs
  }
}
