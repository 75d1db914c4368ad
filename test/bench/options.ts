export interface BenchOptions {
  /** Only the RESULT line. */
  json: boolean;
  /** A CAR in place of a generated one. */
  file?: string;
  /** Size of what is generated. */
  records?: number;
  /** Turns of each contestant. */
  rounds?: number;
  /** Only contestants whose name contains this, or one of these between commas. */
  only?: string;
  /** Says where the time goes; its figures are not to be compared with those of other runs. */
  profile: boolean;
}
