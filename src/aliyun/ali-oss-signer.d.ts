// The types that come with ali-oss know its client only.
declare module 'ali-oss/lib/common/signUtils.js' {
  interface Signer {
    /** @returns the value of the Authorization header */
    authorizationV4(
      accessKeyId: string,
      accessKeySecret: string,
      region: string,
      method: string,
      request: {
        readonly headers: Readonly<Record<string, string>>
        /** Null for a parameter without a value. */
        readonly queries: Readonly<Record<string, string | null>>
      },
      bucket: string,
      key: string | undefined,
    ): string
  }
  const signer: Signer
  // biome-ignore lint/style/noDefaultExport: how a CommonJS module looks from here
  export default signer
}
